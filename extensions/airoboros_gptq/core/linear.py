"""The module that stands where the model had an nn.Linear."""

from __future__ import annotations

import torch
from torch import nn

from .kernels import choose_kernel
from .quantization import LinearSpec, PackedLinear


class GPTQLinear(nn.Module):
    """A linear whose weight stays quantised. x [..., in_features] to [..., out_features], in x's dtype."""

    def __init__(
        self,
        packed: PackedLinear,
        spec: LinearSpec,
        bias: torch.Tensor | None = None,
        kernel: str = 'auto',
        dtype: torch.dtype = torch.float32,
    ):
        """`packed` and `bias` lie on the device where the linear is to run. Raises GPTQError if `kernel` cannot run it."""
        super().__init__()
        self.in_features = spec.in_features
        self.out_features = spec.out_features
        self.spec = spec
        self.kernel = choose_kernel(kernel, spec, packed.qweight.device)(packed, spec, dtype)
        self.register_buffer('bias', None if bias is None else bias.to(dtype), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.kernel(x.reshape(-1, self.in_features)).view(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        s = self.spec
        return f'{s.in_features}, {s.out_features}, bits={s.bits}, group_size={s.group_size}, kernel={self.kernel.name}'
