"""The int4 matmul that PyTorch itself carries: nothing to compile, on CPUs and on NVIDIA GPUs from sm80.

`torch.ops.aten._weight_int4pack_mm_for_cpu` and `_weight_int4pack_mm` compute x @ w with one bf16 scale and zero per
group and column, w = (q - 8) * scale + zero, so zero = (8 - z) * scale. Source: PyTorch's
`aten/src/ATen/native/cpu/int4mm_kernel.cpp` and `native/cuda/int4mm.cu`, checked against the reference.

Codes of 2 and 3 bits fit in the 4 of the op, and are moved to lie around 8 as those of 4 bits do: small multiples of a
rounded scale are better than the difference of two large ones. A code of 8 bits is two, q = 16 * high + low, which lie
side by side as 2N columns: (low - 8) * scale, and (high - 8) * 16 * scale + (136 - z) * scale; their sum is (q - z) * scale.
"""

from __future__ import annotations

import torch

from .base import Kernel
from .packing import LinearSpec, PackedLinear, group_index, unpack, unpack_zeros
from .rules import int4_group_size

_INNER_K_TILES = 8  # of the CUDA layout: the widest loads; K must divide by 16 times this


class TorchInt4Kernel(Kernel):
    """bf16 inside. Act-order costs one permutation of the rows at load, and a gather of the input at each call."""

    name = 'torch-int4'

    @classmethod
    def why_not(cls, spec: LinearSpec, device: torch.device) -> str | None:
        if spec.bits not in (2, 3, 4, 8):
            return f'it is for 2, 3, 4 and 8 bits, the file has {spec.bits}'
        if spec.irregular_groups or spec.in_features % spec.group_size:
            return 'it is for groups of one size, and the file has a shorter one'
        if int4_group_size(spec.group_size) is None:
            return f'it is for groups of 32, 64, 128 or 256, the file has {spec.group_size}'
        if device.type == 'cpu':
            if not hasattr(torch.ops.aten, '_weight_int4pack_mm_for_cpu'):
                return 'this PyTorch is too old for it (2.6 has it)'
            return None if spec.out_features % 16 == 0 else 'out_features is not a multiple of 16'
        if device.type != 'cuda' or torch.version.hip:
            return f'it does not run on {device.type}'
        if torch.cuda.get_device_capability(device) < (8, 0):
            return 'the GPU is older than sm80'
        if spec.in_features % (16 * _INNER_K_TILES) or spec.out_features % 8:
            return 'the sizes are not multiples of 128 and 8'
        return None

    @classmethod
    def compute_dtype(cls, device: torch.device) -> torch.dtype:
        return torch.bfloat16

    def __init__(self, packed: PackedLinear, spec: LinearSpec, dtype: torch.dtype):
        super().__init__(packed, spec, dtype)
        device = packed.qweight.device
        q = unpack(packed.qweight, spec.bits)
        scales = packed.scales.float()
        zeros = unpack_zeros(packed.qzeros, spec.bits, spec.checkpoint_format).float()
        order = None
        if spec.desc_act:
            order = torch.argsort(group_index(spec, packed.g_idx, device), stable=True)
            q = q[order]
        self.group_size = int4_group_size(spec.group_size)
        self.halves = spec.bits == 8
        if self.halves:
            q = torch.cat((q & 15, q >> 4), dim=1)
            offsets = torch.cat((torch.zeros_like(scales), (136 - zeros) * scales), dim=1)
            scales = torch.cat((scales, 16 * scales), dim=1)
        else:
            middle = 2 ** (spec.bits - 1)
            q = q + (8 - middle)
            offsets = (middle - zeros) * scales
        repeats = spec.group_size // self.group_size
        scale_and_zero = torch.stack((scales, offsets), dim=-1).repeat_interleave(repeats, 0)
        q = q.t().contiguous()  # [N, K]
        if device.type == 'cpu':
            weight = torch.ops.aten._convert_weight_to_int4pack_for_cpu(q.int(), 1)
        else:
            pairs = (q[:, ::2] << 4) | q[:, 1::2]
            weight = torch.ops.aten._convert_weight_to_int4pack(pairs.contiguous(), _INNER_K_TILES)
        self.on_cpu = device.type == 'cpu'
        self.register_buffer('weight', weight, persistent=False)
        self.register_buffer('scale_and_zero', scale_and_zero.to(torch.bfloat16).contiguous(), persistent=False)
        self.register_buffer('order', order, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dtype = x.dtype
        if self.order is not None:
            x = x.index_select(1, self.order)
        x = x.to(torch.bfloat16).contiguous()
        op = torch.ops.aten._weight_int4pack_mm_for_cpu if self.on_cpu else torch.ops.aten._weight_int4pack_mm
        y = op(x, self.weight, self.group_size, self.scale_and_zero).to(dtype)
        if self.halves:
            low, high = y.chunk(2, dim=1)
            y = low + high
        return y
