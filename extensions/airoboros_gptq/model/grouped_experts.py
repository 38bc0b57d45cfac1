"""The experts of a layer on a GPU: all that a call needs in two matmuls, which find the chosen experts' weights by themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..kernels.linear import GPTQLinear

if TYPE_CHECKING:
    from ..kernels.triton.expert_gemm import ExpertGemm

Linears = list[list[Any]]  # [experts][parts]

_MAX_ROWS = 64  # of an expert, on average: for more a dequantised copy pays


class GroupedExperts:
    """SeparateExperts' linears, as they are now."""

    @classmethod
    def of(cls, first: Linears, last: Linears) -> GroupedExperts | None:
        """None where these linears have no such matmul."""
        every = [linear for parts in (*first, *last) for linear in parts]
        if not all(_is_plain(linear) for linear in every) or {linear.kernel.name for linear in every} != {'triton'}:
            return None
        from ..kernels.triton.expert_gemm import ExpertGemm

        kernels = [[[linear.kernel for linear in parts] for parts in side] for side in (first, last)]
        if not all(ExpertGemm.serves(side) for side in kernels):
            return None
        biases = [_stack_biases(side) for side in (first, last)]
        return cls([ExpertGemm(side) for side in kernels], biases, _addresses(every))

    def __init__(self, gemms: Sequence[ExpertGemm], biases: Sequence[torch.Tensor | None], addresses: list[int]):
        self._gemms, self._biases, self._addresses = gemms, biases, addresses

    def is_of(self, first: Linears, last: Linears) -> bool:
        """Whether these are the linears that this was made of, where they were, and nothing is hooked to them."""
        every = [linear for parts in (*first, *last) for linear in parts]
        return all(_is_plain(linear) for linear in every) and _addresses(every) == self._addresses

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


def _is_plain(linear: Any) -> bool:
    return type(linear) is GPTQLinear and not linear._forward_hooks and not linear._forward_pre_hooks


def _addresses(linears: list[Any]) -> list[int]:
    # By the dictionaries: nn.Module's own look-up would take a tenth of a prompt's time.
    return [linear._modules['kernel']._buffers['codes'].data_ptr() for linear in linears]


def _stack_biases(linears: Linears) -> torch.Tensor | None:
    """[experts, parts, N], or None where no linear has one."""
    biases = [[linear.bias for linear in parts] for parts in linears]
    if not any(bias is not None for parts in biases for bias in parts):
        return None
    zero = torch.zeros_like(next(b for parts in biases for b in parts if b is not None))
    return torch.stack([torch.stack([zero if b is None else b for b in parts]) for parts in biases])
