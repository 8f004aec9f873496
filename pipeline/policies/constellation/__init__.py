"""The policy `constellation`: `policy` has its rules in order, the other modules a part of each.

`docs/constellation.md` says what the rules are, and what each is worth.
"""
