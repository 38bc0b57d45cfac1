"""A stand-in for the webui's `modules`: only the functions that are patched or called, written from their interface.

With it every test run covers the patches, without a webui. tests/webui/test_conformance.py compares it with a real webui:
each function here exists there, with the same parameters.
"""
