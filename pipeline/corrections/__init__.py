"""What a human changes in a set, and what becomes of the set by it."""
