"""A stand-in for the webui's `modules`: just the functions that our patches touch, written from their interface.

It lets every test run guard the seams without a webui at hand. tests/webui/test_conformance.py holds it against a real
one: each function here exists there, with the same parameters.
"""
