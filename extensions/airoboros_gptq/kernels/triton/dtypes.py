"""PyTorch's dtypes as Triton names them, for pointers that kernels read from a table of addresses."""

from __future__ import annotations

import torch
import triton.language as tl

TRITON_TYPES = {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}
