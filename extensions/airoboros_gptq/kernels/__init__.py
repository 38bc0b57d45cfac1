"""One quantised linear: reference and fast kernels. torch, no transformers; rules.py needs the standard library only."""
