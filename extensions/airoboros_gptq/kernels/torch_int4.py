"""The int4 matmul that PyTorch itself carries: nothing to compile, on CPUs and on NVIDIA GPUs from sm80.

`torch.ops.aten._weight_int4pack_mm_for_cpu` and `_weight_int4pack_mm` compute x @ w with one bf16 scale and zero per
group and column, w = (q - 8) * scale + zero, so zero = (8 - z) * scale. Source: PyTorch's
`aten/src/ATen/native/cpu/int4mm_kernel.cpp` and `native/cuda/int4mm.cu`, checked against the reference.

Codes of 2 and 3 bits are shifted to be centred on 8, as those of 4 bits are: a small multiple of a scale rounded to bf16
is more accurate than the difference of two large ones. A code of 8 bits becomes two of 4, q = 16 * high + low, side by
side as 2N columns: (low - 8) * scale, and (high - 8) * 16 * scale + (136 - z) * scale; their sum is (q - z) * scale.
"""

from __future__ import annotations

import torch

from .base import Kernel
from .packing import PackedLinear, row_order, unpack, unpack_zeros
from .rules import TORCH_INT4

_INNER_K_TILES = 8  # of the CUDA layout: the widest loads; K must divide by 16 times this


class TorchInt4Kernel(Kernel):
    """bf16 inside. Act-order costs one permutation of the rows at load, and a gather of the input at each call."""

    rule, name = TORCH_INT4, TORCH_INT4.name
    weight: torch.Tensor
    scale_and_zero: torch.Tensor
    order: torch.Tensor | None

    @classmethod
    def missing_requirement(cls, device: torch.device) -> str | None:
        if device.type == 'cpu' and not hasattr(torch.ops.aten, '_weight_int4pack_mm_for_cpu'):
            return 'this PyTorch does not have it; update PyTorch'
        return None

    def repack(self, packed: PackedLinear) -> dict[str, torch.Tensor | None]:
        """`weight` as the op packs it, `scale_and_zero` bf16 [G, N, 2], `order` int64 [K] or None; 2N columns for 8 bits."""
        spec = self.spec
        self.on_cpu = packed.qweight.device.type == 'cpu'
        self.group_size = TORCH_INT4.group_size(spec) or spec.group_size
        self.is_split = spec.bits == 8
        order = row_order(packed, spec)
        q = unpack(packed.qweight, spec.bits)
        q = q if order is None else q[order]
        scales = packed.scales.float()
        zeros = unpack_zeros(packed.qzeros, spec.bits, spec.checkpoint_format).float()
        if self.is_split:
            q = torch.cat((q & 15, q >> 4), dim=1)
            offsets = torch.cat((torch.zeros_like(scales), (136 - zeros) * scales), dim=1)
            scales = torch.cat((scales, 16 * scales), dim=1)
        else:
            middle = 2 ** (spec.bits - 1)
            q = q + (8 - middle)
            offsets = (middle - zeros) * scales
        repeats = spec.group_size // self.group_size
        scale_and_zero = torch.stack((scales, offsets), dim=-1).repeat_interleave(repeats, 0)
        return {
            'weight': self._pack_for_op(q.t().contiguous()),
            'scale_and_zero': scale_and_zero.to(torch.bfloat16).contiguous(),
            'order': order,
        }

    def _pack_for_op(self, q: torch.Tensor) -> torch.Tensor:
        """uint8 codes [N, K] of 4 bits, in the op's own layout."""
        if self.on_cpu:
            return torch.ops.aten._convert_weight_to_int4pack_for_cpu(q.int(), 1)
        pairs = (q[:, ::2] << 4) | q[:, 1::2]
        return torch.ops.aten._convert_weight_to_int4pack(pairs.contiguous(), _INNER_K_TILES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dtype = x.dtype
        if self.order is not None:
            x = x.index_select(1, self.order)
        x = x.to(torch.bfloat16).contiguous()
        op = torch.ops.aten._weight_int4pack_mm_for_cpu if self.on_cpu else torch.ops.aten._weight_int4pack_mm
        y = op(x, self.weight, self.group_size, self.scale_and_zero).to(dtype)
        if self.is_split:
            low, high = y.chunk(2, dim=1)
            y = low + high
        return y
