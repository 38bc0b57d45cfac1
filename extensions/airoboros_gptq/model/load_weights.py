"""Puts a checkpoint's tensors into a model."""

from __future__ import annotations

import contextlib
import ctypes
import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import nn

from ..checkpoint.tensor_info import TensorInfo, tensor_bytes
from ..errors import GPTQError
from ..util.types import TransformersModel
from .device_map import Devices, device_of
from .linear_places import place_linear
from .load_plan import LoadPlan
from .never_filled import check_filled, is_offset_norm, is_zero_linear
from .progress import Progress
from .tensor_checks import cast_floats
from .tensor_names import NameMap
from .tensor_reader import PrefetchReader, ReadTensor, open_tensors

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger('airoboros_gptq')

_TRIM_EVERY = 1 << 22  # bytes of quantised linears


def load_weights(model: PreTrainedModel, plan: LoadPlan, names: NameMap, devices: Devices, progress: Progress) -> None:
    """Gives a model on the meta device its weights, floats in the dtypes that it declares; quantised linears become GPTQLinears.

    Reads module by module: each tensor is read, cast and placed once, then let go. `names` are those of the file's tensors in the
    model; what is of a part that is not loaded is not read. `progress(done, total)` gets bytes.
    Raises GPTQError where the file and the model do not fit together, or a parameter is left without a value.
    """
    tensors, file = plan.checkpoint.tensors, plan.checkpoint.name
    modules = {m: held for m, held in _by_module(tensors).items() if not names.is_left_out(_own_tensor(m, held, plan))}
    done, total = 0, sum(tensor_bytes(tensors[name]) for held in modules.values() for name in held)
    untrimmed = 0
    with PrefetchReader(open_tensors(plan.checkpoint), modules.values()) as reader:

        def read(name: str, device: torch.device) -> torch.Tensor:
            value = _read(reader, name, file)
            check_filled(value, name, file, partial(_may_be_zero, model, plan, names, reader, name))
            return value.to(device)

        for module, held in modules.items():
            reader.advance()
            size = sum(tensor_bytes(tensors[name]) for name in held)
            if module in plan.specs:
                name = names(f'{module}.weight').removesuffix('.weight')
                place_linear(model, name, module, plan, read, device_of(name, devices))
                untrimmed += size
            else:
                for name in held:
                    target = names(name)
                    set_tensor(model, target, read(name, device_of(target, devices)), file)
            done += size
            if untrimmed > _TRIM_EVERY:
                untrimmed = 0
                _trim_heap()
            progress(done, total)
    _trim_heap()
    _tie_weights(model, file)
    empty = [name for name, p in model.named_parameters() if p.is_meta]
    if empty:
        raise GPTQError(f'{file} lacks the tensor {empty[0]}; download it again.')


def _own_tensor(module: str, held: list[str], plan: LoadPlan) -> str:
    """The tensor by which a module is looked for in the model."""
    return f'{module}.weight' if module in plan.specs else held[0]


def _by_module(tensors: Mapping[str, TensorInfo]) -> dict[str, list[str]]:
    """Tensor names grouped by the module that owns them, in the file's order."""
    grouped: dict[str, list[str]] = {}
    for name in tensors:
        grouped.setdefault(name.rpartition('.')[0], []).append(name)
    return grouped


def _read(reader: ReadTensor, name: str, file: str) -> torch.Tensor:
    try:
        return reader(name)
    except (OSError, SafetensorError) as e:
        raise GPTQError(f'{file} holds {name}, which cannot be read ({e}); download it again.') from e


def _may_be_zero(model: nn.Module, plan: LoadPlan, names: NameMap, reader: ReadTensor, name: str) -> bool:
    """Whether a tensor of the file is right with nothing but zeros in it."""
    module, _, part = name.rpartition('.')
    if module not in plan.specs:
        return is_offset_norm(_owner(model, names(name)))
    if part not in ('qweight', 'qzeros'):
        return False
    qweight, qzeros, scales = (
        _read(reader, f'{module}.{p}', plan.checkpoint.name) for p in ('qweight', 'qzeros', 'scales')
    )
    return not qweight.any() and is_zero_linear(qzeros, scales)


def _trim_heap() -> None:
    """Gives what unpacking one linear freed back to the system. glibc keeps it, so that weights end up between holes: a
    192 MB file was seen to take 440 to 1280 MB. Other C libraries have no malloc_trim and need none.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _owner(model: nn.Module, name: str) -> nn.Module | None:
    """The module that a parameter or buffer of this name belongs to; None where there is none."""
    try:
        return model.get_submodule(name.rpartition('.')[0])
    except AttributeError:
        return None


def set_tensor(model: nn.Module, name: str, value: torch.Tensor, file: str) -> None:
    """Makes `value` the parameter or buffer called `name`, in the dtype that the empty one has."""
    owner, leaf = _owner(model, name), name.rpartition('.')[2]
    old = getattr(owner, leaf, None)
    if owner is None or not isinstance(old, torch.Tensor):
        # Files of 2023 carry rotary tables and attention masks that transformers now computes by itself.
        log.info('%s: %s is not part of this model and was left out', file, name)
        return
    if old.shape != value.shape:
        raise GPTQError(
            f'{file} holds {name} of shape {tuple(value.shape)}, config.json asks for {tuple(old.shape)}; one of them '
            'belongs to another model.'
        )
    if leaf in owner._parameters:
        if old.is_floating_point():
            value = cast_floats(value, old.dtype, name, file)
        owner._parameters[leaf] = nn.Parameter(value, requires_grad=False)
    elif leaf not in owner._non_persistent_buffers_set:
        owner._buffers[leaf] = value.to(old.dtype)  # learned, as the bias of DeepSeek's router
    # Any other buffer was computed by the model itself and is right as it is.


def _tie_weights(model: TransformersModel, file: str) -> None:
    """Lets embeddings and lm_head share one weight where the config ties them and the file does not refute it: a file may
    hold both, one of the two, or an lm_head that is quantised or is another one, and then stays what it is. A file without
    lm_head has it in its embeddings, whatever the config says.
    """
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    weight: Any = getattr(inputs, 'weight', None)
    head: Any = getattr(outputs, 'weight', None)
    lacks_head = weight is not None and head is not None and head.is_meta and not weight.is_meta
    if lacks_head and weight.shape == head.shape and _claims_tied(model) is False:
        log.warning('%s has no lm_head, which config.json says is one of its own; the embeddings serve as one', file)
        outputs.weight = weight
        _set_tied(model, True)
    if inputs is None or outputs is None or not _claims_tied(model):
        model.tie_weights()
        return
    if head is None or not (weight.is_meta or head.is_meta or torch.equal(weight, head)):
        _set_tied(model, False)
    elif weight.is_meta:
        inputs.weight = head
    model.tie_weights()


def _claims_tied(model: TransformersModel) -> bool:
    return bool(getattr(model.config, 'tie_word_embeddings', False))


def _set_tied(model: TransformersModel, tied: bool) -> None:
    for config in {id(c): c for c in (model.config, model.config.get_text_config(decoder=True))}.values():
        config.tie_word_embeddings = tied
