"""The experts of a layer on a GPU: all that a call needs in two matmuls, which find the chosen experts' weights by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..kernels.linear import GPTQLinear
from ..kernels.rules import TRITON

if TYPE_CHECKING:
    from ..kernels.triton.expert_gemm import ExpertGemm

Linears = list[list[Any]]  # [experts][parts]

_MAX_ROWS = 64  # of an expert, on average: for more a dequantised copy pays


class GroupedExperts:
    """SeparateExperts' linears, as they were when it was made."""

    @classmethod
    def of(cls, first: Linears, last: Linears) -> GroupedExperts | None:
        """None where these linears, which find_addresses() has accepted, differ too much for such a matmul."""
        from ..kernels.triton.expert_gemm import ExpertGemm

        kernels = [[[linear.kernel for linear in parts] for parts in side] for side in (first, last)]
        if not all(ExpertGemm.serves(side) for side in kernels):
            return None
        return cls([ExpertGemm(side) for side in kernels], [_stack_biases(side) for side in (first, last)])

    def __init__(self, gemms: Sequence[ExpertGemm], biases: Sequence[torch.Tensor | None]):
        self._gemms, self._biases = gemms, biases

    def serves(self, hidden_states: torch.Tensor, index: torch.Tensor) -> bool:
        """Whether these activations [tokens, hidden] and choices [tokens, k] are better run here than expert by expert."""
        is_half = hidden_states.dtype in (torch.float16, torch.bfloat16)
        needs_gradient = torch.is_grad_enabled() and hidden_states.requires_grad
        return is_half and not needs_gradient and index.numel() <= _MAX_ROWS * self._gemms[0].experts

    def run(
        self,
        hidden_states: torch.Tensor,
        index: torch.Tensor,
        weights: torch.Tensor,
        gate: Callable[[torch.Tensor], torch.Tensor],
        is_interleaved: bool,
        fused_biases: Sequence[torch.Tensor | None],
    ) -> torch.Tensor:
        """hidden_states [tokens, hidden], index and weights [tokens, k] to [tokens, hidden]. `gate` stands between the two
        products; `fused_biases`, [experts, N] or None, are of the first and the second.
        """
        from ..kernels.triton.expert_gemm import ExpertRows

        rows = ExpertRows.sort(index, self._gemms[0].experts)
        y = hidden_states
        for side, gemm in enumerate(self._gemms):
            y = gemm(y, rows, is_sorted=side == 1)  # [S, parts, N]
            own, fused = self._biases[side], fused_biases[side]
            chosen = rows.chosen.clamp(max=gemm.experts - 1) if own is not None or fused is not None else rows.chosen
            if own is not None:
                y = y + own[chosen]
            y = y.transpose(1, 2).flatten(1) if is_interleaved and side == 0 else y.flatten(1)
            if fused is not None:
                y = y + fused[chosen]
            y = gate(y) if side == 0 else y
        y = y[rows.place].view(*index.shape, -1)
        weights = weights.masked_fill(index >= self._gemms[0].experts, 0) if self._has_bias(fused_biases) else weights
        return torch.einsum('tk,tkn->tn', weights.float(), y.float()).to(hidden_states.dtype)

    def _has_bias(self, fused_biases: Sequence[torch.Tensor | None]) -> bool:
        return any(b is not None for b in (*self._biases, *fused_biases))


def find_addresses(linears: Iterable[Any]) -> list[int] | None:
    """Where the codes of quantised linears lie; None where one runs otherwise than by Triton's kernel alone: on another kernel,
    with a hook, or wrapped. It is asked at each forward pass, so it stops at the first, and looks into the dictionaries:
    nn.Module's own look-up would take a tenth of a prompt's time.
    """
    addresses = []
    for linear in linears:
        if type(linear) is not GPTQLinear or linear._forward_hooks or linear._forward_pre_hooks:
            return None
        kernel: Any = linear._modules['kernel']
        if kernel.name != TRITON.name:
            return None
        addresses.append(kernel._buffers['codes'].data_ptr())
    return addresses


def _stack_biases(linears: Linears) -> torch.Tensor | None:
    """[experts, parts, N], or None where no linear has one."""
    biases = [[linear.bias for linear in parts] for parts in linears]
    if not any(bias is not None for parts in biases for bias in parts):
        return None
    zero = torch.zeros_like(next(b for parts in biases for b in parts if b is not None))
    return torch.stack([torch.stack([zero if b is None else b for b in parts]) for parts in biases])
