"""`python -m pleinair`."""

from pleinair.cli import main

main()
