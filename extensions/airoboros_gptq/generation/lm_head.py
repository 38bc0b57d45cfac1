"""lm_head's product with few rows: what PyTorch does badly about it, done otherwise."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ..kernels.cpu.bindings import load_library
from ..kernels.cpu.dense import DENSE_STEP, MAX_DENSE_ROWS, dense
from ..kernels.cpu.dtypes import DTYPE_CODES
from ..kernels.linear import GPTQLinear
from ..kernels.rules import NATIVE_CPU
from ..util.types import TransformersModel


def make_input_contiguous(model: TransformersModel) -> None:
    """Lets lm_head multiply a prompt's last row [1, 1, K] as it multiplies the rows of decoding.

    transformers hands over hidden[:, -1:], with the strides of the whole prompt. PyTorch then takes the linear for a batched
    product and copies the whole weight, transposed: a second for a 7B's head on two cores.
    """
    lm_head = model.get_output_embeddings()
    if isinstance(lm_head, nn.Linear):
        lm_head.register_forward_pre_hook(_contiguous_input)


def use_compiled_lm_head(model: TransformersModel) -> None:
    """Lets an unquantised lm_head on the CPU multiply few rows in the compiled library, where the other linears run there.

    PyTorch waits for all of its threads at each token, which on a busy machine takes many times as long as the product; and
    these then spin, so that the compiled library's threads have to share the cores with them.
    """
    lm_head = model.get_output_embeddings()
    kernels = {m.kernel.name for m in model.modules() if isinstance(m, GPTQLinear)}
    if type(lm_head) is nn.Linear and lm_head.weight.device.type == 'cpu' and NATIVE_CPU.name in kernels:
        lm_head.__class__ = CompiledLinear


class CompiledLinear(nn.Linear):
    """nn.Linear, computed by the compiled library for the rows, dtypes and devices that it is for."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """input [..., K] to [..., N]."""
        if not _is_plain(input, self.weight):
            return F.linear(input, self.weight, self.bias)
        y = dense(load_library(), input.reshape(-1, input.shape[-1]).contiguous(), self.weight)
        if self.bias is not None:
            y += self.bias
        return y.view(*input.shape[:-1], -1)


def _is_plain(x: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether they are tensors in the CPU's memory that nobody differentiates, casts or traces, and x has few rows."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_autocast_enabled('cpu'):
        return False
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        return False
    inputs = weight.shape[1]
    return (
        type(x) is torch.Tensor
        and type(weight) in (torch.Tensor, nn.Parameter)
        and x.device.type == weight.device.type == 'cpu'
        and x.dtype == weight.dtype
        and x.dtype in DTYPE_CODES
        and x.shape[-1] == inputs
        and inputs % DENSE_STEP == 0
        and 0 < x.numel() <= MAX_DENSE_ROWS * inputs
        and weight.is_contiguous()
    )


def _contiguous_input(module: nn.Module, args: tuple) -> tuple | None:
    x = args[0] if args else None
    if not isinstance(x, torch.Tensor) or x.dim() < 3:
        return None
    if all(x.stride(i) == x.stride(i + 1) * x.shape[i + 1] for i in range(x.dim() - 1)):
        return None
    return (x.clone(memory_format=torch.contiguous_format), *args[1:])
