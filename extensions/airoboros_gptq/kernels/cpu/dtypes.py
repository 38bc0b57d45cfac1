"""The dtypes of activations that the compiled kernel reads and writes."""

from __future__ import annotations

import torch

DTYPE_CODES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}  # enum Dtype of csrc/dtypes.h
