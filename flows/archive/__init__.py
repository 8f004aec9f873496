"""What an archive is made of: its videos, their ledger, their copies, its log.

`docs/archive.md` tells how these work together.
"""
