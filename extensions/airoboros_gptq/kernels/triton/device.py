"""Triton launches on the current device, wherever its tensors lie: on another one's stream, in no order with what wrote them."""

from __future__ import annotations

import contextlib

import torch


def on(device: torch.device):
    """A context in which kernels are launched on `device`."""
    return torch.cuda.device(device) if device.type == 'cuda' else contextlib.nullcontext()
