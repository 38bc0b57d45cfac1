"""What each Airoboros version was trained on. Standard library only."""
