"""Triton launches on the current device, not on that of its tensors: on another GPU's stream it would not wait for their data."""

from __future__ import annotations

import contextlib

import torch


def device_guard(device: torch.device) -> contextlib.AbstractContextManager:
    """Makes `device` the current one, where it is a GPU."""
    return torch.cuda.device(device) if device.type == 'cuda' else contextlib.nullcontext()
