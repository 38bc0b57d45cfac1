"""The types of numbers that the compiled kernel computes with."""

from __future__ import annotations

import torch

TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
