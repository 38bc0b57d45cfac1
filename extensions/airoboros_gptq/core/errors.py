"""The one exception that a person gets to read."""


class GPTQError(Exception):
    """Something about a model folder or a request is wrong. `str()` is one sentence: file, fault, remedy."""
