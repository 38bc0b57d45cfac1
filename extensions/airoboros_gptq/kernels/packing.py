"""The GPTQ format: unpacking, and dequantisation as the slow, obviously right reference.

One quantised linear, in_features K, out_features N, bits b, groups G = ceil(K / group_size):
    qweight int32 [K*b/32, N]   packed along K, lowest bits first (3-bit: 32 values in 3 words)
    qzeros  int32 [G, N*b/32]   packed along N; format `gptq` stores zero - 1, `gptq_v2` stores zero
    scales  float [G, N]
    g_idx   int32 [K]           the group of each input row; absent in old files
    w[k, n] = scales[g_idx[k], n] * (q[k, n] - zero[g_idx[k], n])

Source: the packing of AutoGPTQ 0.7.1 (`auto_gptq/nn_modules/qlinear/qlinear_cuda.py`), checked against its outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..checkpoint.linear_spec import LinearSpec


@dataclass(frozen=True)
class PackedLinear:
    """The tensors of one quantised linear as they stand in the file, shapes as in this module's docstring."""

    qweight: torch.Tensor
    qzeros: torch.Tensor
    scales: torch.Tensor
    g_idx: torch.Tensor | None = None


def unpack(packed: torch.Tensor, bits: int) -> torch.Tensor:
    """Unpacks words along the first axis: int32 [W, M] to uint8 [W*32/bits, M], lowest bits first."""
    if 32 % bits == 0:
        shifts = torch.arange(0, 32, bits, device=packed.device, dtype=torch.int32).view(1, -1, 1)
        values = (packed.unsqueeze(1) >> shifts) & (2**bits - 1)
    else:
        # Values cross the words' borders: 3-bit packs 32 values into the 96 bits of 3 words.
        period = bits
        words = (packed.to(torch.int64) & 0xFFFFFFFF).view(-1, period, packed.shape[1])
        at = torch.arange(0, 32 * period, bits, device=packed.device)
        low, shift = at // 32, (at % 32).view(1, -1, 1)
        high = (low + 1).clamp(max=period - 1)
        joint = (words[:, low] >> shift) | (words[:, high] << (32 - shift))
        values = joint & (2**bits - 1)
    return values.reshape(-1, packed.shape[1]).to(torch.uint8)


def unpack_zeros(qzeros: torch.Tensor, bits: int, checkpoint_format: str) -> torch.Tensor:
    """True zero points, int32 [G, N], from int32 [G, N*bits/32].

    A stored v1 zero of 2**bits - 1 is a zero of 0, from which the packer took 1: AutoGPTQ's quantiser makes no 2**bits.
    Its `cuda_old` reads it so too, its `cuda` reads 2**bits and misses the weights by 16 steps.
    """
    zeros = unpack(qzeros.t().contiguous(), bits).t().to(torch.int32)
    return zeros if checkpoint_format == 'gptq_v2' else (zeros + 1) & (2**bits - 1)


def group_index(spec: LinearSpec, g_idx: torch.Tensor | None, device) -> torch.Tensor:
    """The group of each input row, int64 [K]; sequential where the file has no g_idx or an all-zero one."""
    sequential = torch.arange(spec.in_features, device=device) // spec.group_size
    if g_idx is None or not bool(g_idx.any()):
        return sequential
    return g_idx.to(device=device, dtype=torch.int64)


def row_order(packed: PackedLinear, spec: LinearSpec) -> torch.Tensor | None:
    """int64 [K]: the input feature of each row, with the rows sorted by group; None without act-order.

    Kernels read one group after the other, so they sort the rows of an act-order file once, at load.
    """
    if not spec.desc_act:
        return None
    return torch.argsort(group_index(spec, packed.g_idx, packed.qweight.device), stable=True)


def narrow_scales(scales: torch.Tensor) -> torch.Tensor:
    """In fp16 where that loses nothing, as in files that merely store them wider; else in fp32."""
    halves = scales.half()
    exact = scales.dtype == torch.float16 or torch.equal(halves.to(scales.dtype), scales)
    return halves if exact else scales.float()


def dequantize(packed: PackedLinear, spec: LinearSpec, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The weight [K, N] in `dtype`, computed in fp32 from the formula in this module's docstring."""
    q = unpack(packed.qweight, spec.bits)
    zeros = unpack_zeros(packed.qzeros, spec.bits, spec.checkpoint_format).float()
    group = group_index(spec, packed.g_idx, q.device)
    return (packed.scales.float()[group] * (q - zeros[group])).to(dtype)
