"""The active extensions, and those whose setup() was called."""

state = {}
setup_called = set()
