"""`weight` of a quantised linear, for code that reads it, as peft's methods do: a tensor that is dequantised only where something
computes with it, each time anew, and that cannot be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map_only, tree_unflatten

from ..errors import GPTQError


class LazyWeight(torch.Tensor):
    """Shape, dtype and device of a tensor that `make` computes. It has no memory of its own, and views of it are lazy too, so
    that writing into one is refused instead of lost. Autograd keeps it as it is: between forward and backward it takes no memory.

    Raises GPTQError where it would be written or trained.
    """

    _make: Callable[[], torch.Tensor]

    @staticmethod
    def __new__(cls, make: Callable[[], torch.Tensor], like: torch.Tensor, device: torch.device) -> LazyWeight:
        """`like` is a tensor on the meta device, of the shape, strides and dtype that make() answers with."""
        weight: LazyWeight = torch.Tensor._make_wrapper_subclass(
            cls,
            like.shape,
            strides=like.stride(),
            storage_offset=int(like.storage_offset()),
            dtype=like.dtype,
            device=device,
        )
        weight._make = make
        return weight

    def __repr__(self, **kwargs: Any) -> str:  # type: ignore[override]
        return f'LazyWeight({tuple(self.shape)}, dtype={self.dtype}, device={self.device})'

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func == torch.Tensor.data.__set__ and isinstance(args[0], cls):  # type: ignore[attr-defined]
            raise GPTQError(WRITTEN)
        if func in _SET_REQUIRES_GRAD and all(args[1:]) and kwargs.get('requires_grad', True):
            raise GPTQError(TRAINED)
        if func in _NEEDS_MEMORY:
            raise GPTQError(
                'The weight of a quantised linear has no memory that could be read; it is dequantised in each operation.'
            )
        with torch._C.DisableTorchFunctionSubclass():
            if func in _NOT_DISPATCHED:
                args = tree_map_only(cls, lambda weight: weight._make(), args)
            return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        kwargs = kwargs or {}
        arguments = func._schema.arguments
        given = [*zip(arguments, args, strict=False), *((a, kwargs[a.name]) for a in arguments if a.name in kwargs)]
        aliased = [(a, value) for a, value in given if a.alias_info is not None and _holds(value, cls)]
        if any(a.alias_info.is_write for a, _ in aliased):
            raise GPTQError(WRITTEN)

        def compute() -> Any:
            plain_args, plain_kwargs = tree_map_only(cls, lambda weight: weight._make(), (args, kwargs))
            return func(*plain_args, **plain_kwargs)

        return _views(func, args, kwargs, compute) if aliased else compute()


_NOT_DISPATCHED = {  # what reads memory without a word to __torch_dispatch__
    torch.Tensor.numpy,
    torch.Tensor.tolist,
    torch.Tensor.__array__,
    torch.Tensor.__deepcopy__,
    torch.Tensor.__dlpack__,
    torch.Tensor.__reduce_ex__,
}
_SET_REQUIRES_GRAD = {torch.Tensor.requires_grad_, torch.Tensor.requires_grad.__set__}  # type: ignore[attr-defined]
_NEEDS_MEMORY = {torch.Tensor.data_ptr, torch.Tensor.share_memory_, torch.Tensor.storage, torch.Tensor.untyped_storage}
WRITTEN = (
    'The weight of a quantised linear cannot be written, only read: '
    'choose a method or an initialisation that leaves the weights of the base model as they are, or load an unquantised model.'
)
TRAINED = (
    'The weight of a quantised linear cannot be trained: train an adapter, as a LoRA, or load an unquantised model.'
)


def _holds(value: Any, kind: type) -> bool:
    return any(isinstance(leaf, kind) for leaf in tree_leaves(value))


def _views(func: Any, args: Any, kwargs: Any, compute: Callable[[], Any]) -> Any:
    """What a view, or several, of lazy weights is, lazily."""
    device = next(leaf.device for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, LazyWeight))
    meta_args, meta_kwargs = tree_map_only(torch.Tensor, _on_meta, (args, kwargs))
    leaves, structure = tree_flatten(func(*meta_args, **meta_kwargs))

    def view(i: int, like: torch.Tensor) -> LazyWeight:
        return LazyWeight(lambda: tree_leaves(compute())[i], like, device)

    return tree_unflatten([view(i, leaf) for i, leaf in enumerate(leaves)], structure)


def _on_meta(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device='meta')


class ReadWeights:
    """The quantised linears of which code read `weight`, and of these the ones with which it computed."""

    def __init__(self) -> None:
        self.read: set[torch.nn.Module] = set()
        self.computed: set[torch.nn.Module] = set()


_recorder: ContextVar[ReadWeights | None] = ContextVar('airoboros_gptq_read_weights', default=None)


@contextmanager
def record_read_weights() -> Iterator[ReadWeights]:
    """What is read of lazy weights in this thread, while the context is open."""
    record = ReadWeights()
    token = _recorder.set(record)
    try:
        yield record
    finally:
        _recorder.reset(token)


def lazy_weight(
    linear: torch.nn.Module, dequantize: Callable[[], torch.Tensor], like: torch.Tensor, device: torch.device
) -> LazyWeight:
    """The weight of `linear`, which `dequantize` computes on `device`, with the shape, strides and dtype of `like` (on meta)."""
    if (record := _recorder.get()) is not None:
        record.read.add(linear)

    def make() -> torch.Tensor:
        if (record := _recorder.get()) is not None:
            record.computed.add(linear)
        return dequantize()

    return LazyWeight(make, like, device)
