"""Faults on purpose: commands are killed, starved and lied to, and what they leave is looked at.

`make torture` runs all of it; `python -m torture --help` says what can be chosen. What is tried
and what is promised stands in docs/reliability.md.
"""
