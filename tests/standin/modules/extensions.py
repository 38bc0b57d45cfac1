"""Which extensions are at work, and whose setup() was called."""

state = {}
setup_called = set()
