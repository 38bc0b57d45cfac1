"""A fused parameter of experts, for code of transformers that multiplies by parts of it, over linears that stay apart.

torch hands every operation on an object with `__torch_function__` to it: so `x @ experts.down_proj[3]`, nn.functional.linear and
torch.bmm run the kernels of quantised linears, and no weight is dequantised or read that is not multiplied by.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class ExpertWeights:
    """The weights of all experts. `parts` are the names of the linears of one expert, side by side: ('gate_proj', 'up_proj')."""

    @classmethod
    def replace(cls, module: nn.Module, name: str, parts: tuple[str, ...]) -> None:
        """Puts one in place of the parameter `name` of `module`, whose children '0', '1', … will hold the experts' linears."""
        parameter = module._parameters.pop(name)
        assert parameter is not None
        setattr(module, name, cls(module, tuple(parameter.shape), parts))

    def __init__(self, module: nn.Module, shape: tuple[int, ...], parts: tuple[str, ...]) -> None:
        self._module, self.shape, self._parts = module, torch.Size(shape), parts

    def __getitem__(self, index: Any) -> ExpertWeight:
        """The weight of one expert."""
        linears = self._module.get_submodule(str(int(index)))
        # As the parameter lies in memory: [in_features, out_features], or transposed.
        found = [linears.get_submodule(name) for name in self._parts]
        in_features, out_features = found[0].in_features, sum(m.out_features for m in found)  # type: ignore[misc]
        last = self.shape[-1]
        return ExpertWeight(found, is_transposed=(last == in_features and last != out_features) or self._is_row_major())

    def _is_row_major(self) -> bool:
        """Whether weights are [out_features, in_features] where both sizes are the same."""
        return type(self._module).__name__.endswith('ParallelExperts')

    def view(self, *shape: Any) -> ExpertWeights:
        """Itself: DBRX has the experts of a layer in two dimensions, and views them in three."""
        return self

    def chunk(self, count: int, dim: int = 0) -> list[ExpertWeight]:
        return [self[i] for i in range(count)]

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> torch.Tensor:
        if func in (torch.bmm, torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.Tensor.bmm):
            return args[1]._multiply_all(args[0])
        raise NotImplementedError(f'{func} of experts that are apart')

    def _multiply_all(self, x: torch.Tensor) -> torch.Tensor:
        """x [experts, tokens, in_features] to [experts, tokens, out_features]. A row of zeros, of a token that did not choose the
        expert, stays one without its being read.
        """
        chosen = x.ne(0).any(-1)
        weights = [self[i] for i in range(len(x))]
        out = x.new_zeros(*x.shape[:2], weights[0].out_features)
        for index in chosen.any(-1).nonzero().flatten().tolist():
            rows = chosen[index].nonzero().flatten()
            out[index, rows] = weights[index].multiply(x[index, rows])
        return out


class ExpertWeight:
    """The weight of one expert: what a linear, or several side by side, multiply by."""

    def __init__(self, linears: list[nn.Module], is_transposed: bool) -> None:
        self._linears, self._is_transposed = linears, is_transposed

    @property
    def out_features(self) -> int:
        linears: list[Any] = list(self._linears)
        return sum(m.out_features for m in linears)

    @property
    def T(self) -> ExpertWeight:
        return ExpertWeight(self._linears, not self._is_transposed)

    def t(self) -> ExpertWeight:
        return self.T

    def squeeze(self, *args: Any, **kwargs: Any) -> ExpertWeight:
        return self

    def multiply(self, x: torch.Tensor) -> torch.Tensor:
        """x [rows, in_features] to [rows, out_features]; without rows nothing is read."""
        if not x.numel():
            return x.new_zeros(*x.shape[:-1], self.out_features)
        found = [linear(x) for linear in self._linears]
        return found[0] if len(found) == 1 else torch.cat(found, -1)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> torch.Tensor:
        x, weight = args[:2]
        if func is nn.functional.linear and weight._is_transposed:
            bias = args[2] if len(args) > 2 else (kwargs or {}).get('bias')
            y: torch.Tensor = weight.multiply(x)
            return y if bias is None else y + bias
        products = (torch.matmul, torch.mm, torch.Tensor.matmul, torch.Tensor.mm, torch.Tensor.__matmul__)
        if func in products and not weight._is_transposed:
            product: torch.Tensor = weight.multiply(x)
            return product
        raise NotImplementedError(f'{func} of an expert that is apart')
