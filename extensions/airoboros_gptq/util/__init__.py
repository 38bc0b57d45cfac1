"""Helpers without a home of their own. Standard library only."""
