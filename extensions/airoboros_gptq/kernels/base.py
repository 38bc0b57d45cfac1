"""What a kernel is. A new one is a module beside this file and a line in `kernels/__init__.py`."""

from __future__ import annotations

import torch
from torch import nn

from .packing import LinearSpec, PackedLinear


class Kernel(nn.Module):
    """Multiplies by one quantised weight. Built once at load from the packed tensors, which it may then drop.

    Subclasses set `name`, answer `why_not` and `compute_dtype`, and implement `__init__` and `forward`.
    """

    name: str

    @classmethod
    def why_not(cls, spec: LinearSpec, device: torch.device) -> str | None:
        """None where this kernel can run `spec` on `device`, else the reason why not, as half a sentence."""
        raise NotImplementedError

    @classmethod
    def is_worthwhile(cls, spec: LinearSpec, device: torch.device) -> bool:
        """Whether `auto` may take it where it can run: False where a slower-listed kernel would do as well."""
        return True

    @classmethod
    def compute_dtype(cls, device: torch.device) -> torch.dtype:
        """The dtype that activations had best have for this kernel on `device`."""
        raise NotImplementedError

    def __init__(self, packed: PackedLinear, spec: LinearSpec, dtype: torch.dtype):
        """`packed` lies on the device where the kernel is to run; `dtype` is that of the model's activations."""
        super().__init__()

    def _apply(self, fn, recurse=True):
        """Tensors move with the model, but keep their dtypes: a model is cast for its activations' sake, as the webui does
        with `half()` before it puts on a LoRA, and a kernel's scales are what its op reads.
        """
        before = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, old in before.items():
            moved = getattr(self, name)
            if moved is not None and moved.dtype != old.dtype:
                setattr(self, name, old.to(moved.device))
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [M, K] to [M, N], same dtype. The bias is the linear's business."""
        raise NotImplementedError
