"""The loop that both models train in, and what it leaves behind."""
