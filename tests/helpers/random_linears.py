"""Quantised linears of random tensors, and how far a kernel is from the formula."""

import torch
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.kernels.packing import PackedLinear, dequantize


def random_packed(spec, sym=True, g_idx=True, half=True, seed=0):
    """Any int32 is a valid word, so random words are a random weight; symmetric zeros repeat one value."""
    g = torch.Generator().manual_seed(seed)
    groups = -(-spec.in_features // spec.group_size)

    def words(*shape):
        return torch.randint(-(2**31), 2**31, shape, generator=g).int()

    qzeros = words(groups, spec.out_features * spec.bits // 32)
    if sym:
        middle = 2 ** (spec.bits - 1) - (spec.checkpoint_format == 'gptq')
        packed = sum(middle << (spec.bits * i) for i in range(32))  # 32 values in `bits` words
        pattern = [(packed >> (32 * w)) & 0xFFFFFFFF for w in range(spec.bits)]
        signed = torch.tensor([p - 2**32 * (p >= 2**31) for p in pattern]).int()
        qzeros = signed.repeat(spec.out_features // 32).expand(groups, -1).contiguous()
    order = torch.arange(spec.in_features) // spec.group_size
    if spec.desc_act:
        order = order[torch.randperm(spec.in_features, generator=g)]
    scales = torch.rand(groups, spec.out_features, generator=g) * 0.02 + 0.001
    return PackedLinear(
        words(spec.in_features * spec.bits // 32, spec.out_features),
        qzeros,
        scales.half() if half else scales,
        order.int() if g_idx or spec.desc_act else None,
    )


def deviation(name, spec, packed, x, bias=None):
    """||found - right|| / ||right||, right being computed in fp64."""
    found = GPTQLinear(packed, spec, bias, name, x.dtype)(x)
    right = x.double() @ dequantize(packed, spec, torch.float64)
    if bias is not None:
        right = right + bias.double()
    assert found.dtype == x.dtype and found.shape == right.shape
    return ((found.double() - right).norm() / right.norm()).item()


def rows(spec, *batch, dtype=torch.float32):
    return torch.randn(*batch, spec.in_features, generator=torch.Generator().manual_seed(1)).to(dtype)
