"""The module that stands where the model had an nn.Linear."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ..checkpoint.linear_spec import LinearSpec
from ..errors import GPTQError
from .lazy_weight import WRITTEN, LazyWeight, lazy_weight
from .packing import PackedLinear
from .registry import select_kernel


class GPTQLinear(nn.Linear):
    """A linear whose weight stays quantised. x [..., in_features] to [..., out_features], in x's dtype.

    An nn.Linear for the sake of peft, which wraps a layer by its class: a LoRA's own linear then adds to what this one
    answers. Its `weight` is no parameter: it is dequantised where something computes with it, and cannot be written.
    """

    def __init__(
        self,
        packed: PackedLinear,
        spec: LinearSpec,
        bias: torch.Tensor | None = None,
        kernel: str = 'auto',
        dtype: torch.dtype = torch.float32,
    ):
        """`packed` and `bias` lie on the device where the linear is to run. `dtype` is that of the bias, and of the weight that
        the linear stands for. Raises GPTQError if `kernel` cannot run it.
        """
        nn.Module.__init__(self)  # nn.Linear's would allocate a weight
        self.in_features = spec.in_features
        self.out_features = spec.out_features
        self.spec = spec
        self.kernel = select_kernel(kernel, spec, packed.qweight.device)(packed, spec)
        self.register_parameter('bias', None if bias is None else nn.Parameter(bias.to(dtype), requires_grad=False))
        self._dtype = dtype

    @property
    def weight(self) -> LazyWeight:
        """[out_features, in_features], in the dtype that the model was cast to. Dequantised only where it is computed with."""
        like = torch.empty(self.out_features, self.in_features, dtype=self._dtype, device='meta')
        return lazy_weight(self, self.dequantize, like, self.qweight.device)

    @weight.setter
    def weight(self, value: object) -> None:
        raise GPTQError(WRITTEN)

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        if name == 'weight':
            raise GPTQError(WRITTEN)
        super().register_parameter(name, param)

    def dequantize(self) -> torch.Tensor:
        """The weight [out_features, in_features] as the kernel has it: what it makes of the identity."""
        with torch.no_grad():
            return _times_identity(self.kernel, self.in_features, self._dtype, self.qweight.device).T.contiguous()

    def to_plain(self) -> nn.Linear:
        """An ordinary linear with the weight dequantised."""
        plain = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device='meta')
        with torch.inference_mode(False):
            plain.weight = nn.Parameter(self.dequantize(), requires_grad=False)
            if self.bias is not None:
                plain.bias = nn.Parameter(self.bias.detach().clone(), requires_grad=False)
        return plain.train(self.training)

    def __deepcopy__(self, memo: dict) -> nn.Linear:
        """A copy of this linear alone is an ordinary one: peft makes it to train it (`modules_to_save`). In a copy of a model it
        stays quantised.
        """
        if not memo:
            return self.to_plain()
        twin = memo[id(self)] = type(self).__new__(type(self))
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin

    def _apply(self, fn, recurse=True):
        self._dtype = fn(torch.empty(0, dtype=self._dtype)).dtype
        return super()._apply(fn, recurse)

    @property
    def qweight(self) -> torch.Tensor:
        """Where peft looks for the device of a quantised linear. One of the kernel's tensors, in the kernel's own layout."""
        return next(self.kernel.buffers())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # A kernel has no derivative, and the one that is ours would not even say so.
        multiply = self.kernel if not (torch.is_grad_enabled() and x.requires_grad) else self._differentiable
        y = multiply(x.reshape(-1, self.in_features)).view(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias

    def _differentiable(self, x: torch.Tensor) -> torch.Tensor:
        return _Differentiable.apply(x, self.kernel)

    def extra_repr(self) -> str:
        s = self.spec
        return f'{s.in_features}, {s.out_features}, bits={s.bits}, group_size={s.group_size}, kernel={self.kernel.name}'


def _times_identity(kernel: nn.Module, in_features: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """The weight [in_features, out_features] as the kernel has it."""
    weight: torch.Tensor = kernel(torch.eye(in_features, dtype=dtype, device=device))
    return weight


class _Differentiable(torch.autograd.Function):
    """Any kernel, with the derivative by its input, as training a LoRA needs it. Right rather than fast: for dx = dy wᵀ the
    weight is asked of the kernel itself, as what it makes of the identity, one linear at a time.
    """

    @staticmethod
    def forward(ctx, x: torch.Tensor, kernel: nn.Module) -> torch.Tensor:
        ctx.kernel, ctx.in_features = kernel, x.shape[-1]
        return kernel(x)

    @staticmethod
    def backward(ctx, dy: torch.Tensor):
        with torch.no_grad():
            weight = _times_identity(ctx.kernel, ctx.in_features, dy.dtype, dy.device)
        return dy @ weight.T, None
