"""The ground floor: what flows through, and what is written."""
