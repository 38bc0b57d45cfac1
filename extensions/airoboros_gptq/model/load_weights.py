"""Puts a checkpoint's tensors into a model."""

from __future__ import annotations

import contextlib
import ctypes
import logging
from collections.abc import Callable, Mapping

import torch
from safetensors import SafetensorError
from torch import nn

from ..checkpoint.checkpoint import Checkpoint
from ..checkpoint.linear_spec import LinearSpec
from ..checkpoint.tensor_info import TensorInfo, tensor_bytes
from ..checkpoint.validation import require_finite, require_scales
from ..errors import GPTQError
from ..kernels.linear import GPTQLinear
from ..kernels.packing import PackedLinear
from .device_map import device_of
from .tensor_names import adapt
from .tensor_reader import Ahead, open_tensors

log = logging.getLogger('airoboros_gptq')

Progress = Callable[[int, int], None]
_PARTS = ('qweight', 'qzeros', 'scales', 'g_idx', 'bias')


def fill(
    model: nn.Module,
    checkpoint: Checkpoint,
    specs: dict[str, LinearSpec],
    devices: Mapping[str, torch.device],
    dtype: torch.dtype,
    kernel: str,
    progress: Progress,
) -> None:
    """Gives a model on the meta device its weights, floats in `dtype`; quantised linears become GPTQLinears.

    `devices` says by a module's name where it and what is below it goes: {'': device} for all in one place.
    Reads module by module: each tensor is read, cast and placed once, then let go. `progress(done, total)` gets bytes.
    Raises GPTQError where the file and the model do not fit together, or a parameter is left without a value.
    """
    tensors = checkpoint.tensors
    modules = _by_module(tensors)
    with Ahead(open_tensors(checkpoint), modules.values()) as from_file:
        _fill(model, checkpoint, tensors, modules, from_file, specs, devices, dtype, kernel, progress)
    _tie(model)
    empty = [name for name, p in model.named_parameters() if p.is_meta]
    if empty:
        raise GPTQError(f'{checkpoint.name} lacks the tensor {empty[0]}; download it again.')


def _fill(model, checkpoint, tensors, modules, from_file, specs, devices, dtype, kernel, progress) -> None:
    done, total = 0, sum(tensor_bytes(t) for t in tensors.values())
    in_model = adapt(model, tensors, specs, checkpoint.name)

    def read(name: str, device: torch.device) -> torch.Tensor:
        try:
            value = from_file(name)
        except (OSError, SafetensorError) as e:
            raise GPTQError(f'{checkpoint.name} holds {name}, which cannot be read ({e}); download it again.') from e
        return value.to(device)

    for module, names in modules.items():
        from_file.go_on()
        if module in specs:
            target = in_model(f'{module}.weight').removesuffix('.weight')
            device = device_of(target, devices)
            here = [part for part in _PARTS if f'{module}.{part}' in tensors]
            parts = {part: read(f'{module}.{part}', device) for part in here}
            bias = parts.pop('bias', None)
            require_scales(parts['scales'], f'{module}.scales', checkpoint.name)
            if bias is not None:
                require_finite(bias, f'{module}.bias', checkpoint.name)
            linear = GPTQLinear(PackedLinear(**parts), specs[module], bias, kernel, dtype)
            _replace(model, target, linear, checkpoint.name)
            if device.type == 'cpu':
                _trim_heap()
        else:
            for name in names:
                value = read(name, device_of(in_model(name), devices))
                _place(model, in_model(name), value, dtype, tensors[name], checkpoint.name)
        done += sum(tensor_bytes(tensors[name]) for name in names)
        progress(done, total)


def _tie(model: nn.Module) -> None:
    """Lets embeddings and lm_head share one weight where the config ties them and the file does not refute it: a file may
    hold both, one of the two, or an lm_head that is quantised or is another one, and then stays what it is.
    """
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    tied = getattr(model.config, 'tie_word_embeddings', False)
    if inputs is None or outputs is None or not tied:
        model.tie_weights()
        return
    weight, head = inputs.weight, getattr(outputs, 'weight', None)
    if head is None or not (weight.is_meta or head.is_meta or torch.equal(weight, head)):
        model.config.tie_word_embeddings = False
    elif weight.is_meta:
        inputs.weight = head
    model.tie_weights()


def _trim_heap() -> None:
    """Gives what unpacking one linear freed back to the system. glibc keeps it, so that weights end up between holes: a
    192 MB file was seen to take 440 to 1280 MB. Other C libraries have no malloc_trim and need none.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _by_module(tensors: dict[str, TensorInfo]) -> dict[str, list[str]]:
    """Tensor names grouped by the module that owns them, in the file's order."""
    grouped: dict[str, list[str]] = {}
    for name in tensors:
        grouped.setdefault(name.rpartition('.')[0], []).append(name)
    return grouped


def _replace(model: nn.Module, name: str, linear: GPTQLinear, file: str) -> None:
    """Puts `linear` where the model has an nn.Linear called `name`."""
    try:
        old = model.get_submodule(name)
    except AttributeError as e:
        raise GPTQError(
            f'{file} holds {name}, which a {type(model).__name__} does not have; it belongs to another model.'
        ) from e
    shape = (getattr(old, 'in_features', None), getattr(old, 'out_features', None))
    if shape != (linear.in_features, linear.out_features):
        raise GPTQError(
            f'{file} holds {name} of {linear.in_features} by {linear.out_features}, config.json asks for '
            f'{shape[0]} by {shape[1]}; one of them belongs to another model.'
        )
    if linear.bias is None and getattr(old, 'bias', None) is not None:
        raise GPTQError(f'{file} lacks the tensor {name}.bias; download it again.')
    parent, _, child = name.rpartition('.')
    setattr(model.get_submodule(parent), child, linear)


def _place(model: nn.Module, name: str, value: torch.Tensor, dtype: torch.dtype, info: TensorInfo, file: str) -> None:
    """Makes `value` the parameter or buffer called `name`, cast to `dtype` if it is floating."""
    owner_name, _, leaf = name.rpartition('.')
    try:
        owner = model.get_submodule(owner_name)
    except AttributeError:
        owner = None
    old = getattr(owner, leaf, None)
    if not isinstance(old, torch.Tensor):
        # Files of 2023 carry rotary tables and attention masks that transformers now computes by itself.
        log.info('%s: %s is not part of this model and was left out', file, name)
        return
    if old.shape != value.shape:
        raise GPTQError(
            f'{file} holds {name} of shape {info.shape}, config.json asks for {tuple(old.shape)}; one of them belongs to '
            'another model.'
        )
    if leaf in owner._parameters:
        if old.is_floating_point():
            value = value.to(dtype) if value.is_floating_point() else value
            require_finite(value, name, file)  # as cast: what fp16 cannot hold has become infinite
        owner._parameters[leaf] = nn.Parameter(value, requires_grad=False)
    elif leaf not in owner._non_persistent_buffers_set:
        owner._buffers[leaf] = value.to(old.dtype)  # learned, as the bias of DeepSeek's router
    # Any other buffer was computed by the model itself and is right as it is.
