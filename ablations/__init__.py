"""What each choice of a recipe is worth: every one trained alike, scored alike, written down.

`python -m ablations run --photos PHOTOS --paintings PAINTINGS` trains what is missing.
"""
