"""A model over several GPUs, and the rest of it on the CPU: what goes where, and the hooks that carry activations across.

accelerate decides, as for every model of transformers, in whole layers. Unlike there, what lies on the CPU also runs there,
with a kernel for CPUs: to carry its weights to the GPU for every token would take longer than to use them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from ..checkpoint.linear_spec import LinearSpec
from ..errors import GPTQError
from ..util.types import TransformersModel
from .load_plan import LoadPlan, MaxMemory
from .tensor_names import NameMap

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Devices = Mapping[str, torch.device]  # by the name of a module, for it and what is below it; '' for the whole model


def place_modules(model: PreTrainedModel, plan: LoadPlan, names: NameMap) -> Devices:
    """Where the modules of a model on the meta device go: onto the plan's device, or over those of its max_memory.
    `names` are those of the file's tensors in the model.
    """
    if not plan.max_memory:
        return {'': plan.device}
    specs = {names(f'{name}.weight').removesuffix('.weight'): spec for name, spec in plan.specs.items()}
    return split_model(model, specs, plan.dtype, plan.max_memory)


def split_model(
    model: PreTrainedModel, specs: Mapping[str, LinearSpec], dtype: torch.dtype, max_memory: MaxMemory
) -> Devices:
    """Devices for a model on the meta device whose linears `specs` will be quantised ones.

    `max_memory` is accelerate's: {0: '10GiB', 'cpu': '20GiB'}, in bytes or as text, for weights alone; devices that it
    does not name are not used. Raises GPTQError where the model does not fit, or a size cannot be read.
    """
    from accelerate import infer_auto_device_map
    from accelerate.utils import CustomDtype

    widths = {f'{name}.weight': torch.int8 if spec.bits == 8 else CustomDtype.INT4 for name, spec in specs.items()}
    model.tie_weights()
    try:
        found = infer_auto_device_map(
            model,
            max_memory={device: _without_scales(size, specs) for device, size in max_memory.items()},
            no_split_module_classes=list(model._no_split_modules or ()),
            dtype=dtype,
            special_dtypes=widths,
            clean_result=False,  # which would name a list of layers, and a list is never called
        )
    except ValueError as e:
        raise GPTQError(
            f'The memory limits {_as_text(max_memory)} cannot be read ({e}); write them as 10 or 3500MiB.'
        ) from e
    if 'disk' in found.values():
        raise GPTQError(
            f'The model does not fit into {_as_text(max_memory)}; allow more on the GPUs or on the CPU, or take a smaller '
            'model.'
        )
    if len(set(found.values())) == 1:
        found = {'': next(iter(found.values()))}
    return {name: torch.device('cuda', d) if isinstance(d, int) else torch.device(d) for name, d in found.items()}


def free_gpu_memory() -> dict[int, int]:
    """Free bytes on each visible GPU, by its index; empty without CUDA."""
    if not torch.cuda.is_available():
        return {}
    return {i: torch.cuda.mem_get_info(i)[0] for i in range(torch.cuda.device_count())}


def _without_scales(size: int | str, specs: Mapping[str, LinearSpec]) -> int:
    """A limit in bytes, less the share that scales and zeros take: accelerate counts only the weights' own bits."""
    from accelerate.utils import convert_file_size_to_int

    weights = sum(s.in_features * s.out_features * (1 if s.bits == 8 else 0.5) for s in specs.values())
    scales = sum(s.in_features * s.out_features / s.group_size * 4 for s in specs.values())
    return int(convert_file_size_to_int(size) * weights / (weights + scales))


def _as_text(max_memory: MaxMemory) -> str:
    return ', '.join(f'{size} on {"GPU " * isinstance(device, int)}{device}' for device, size in max_memory.items())


def main_device(devices: Devices) -> torch.device:
    """Where inputs go in and answers come out: the first GPU that is used, the CPU where none is."""
    return next((d for d in devices.values() if d.type != 'cpu'), torch.device('cpu'))


def device_of(name: str, devices: Devices) -> torch.device:
    """The device of a tensor or module by its name in the model: that of the nearest module above it in the map."""
    while name and name not in devices:
        name = name.rpartition('.')[0]
    return devices.get(name, main_device(devices))


def connect_devices(model: TransformersModel, devices: Devices) -> None:
    """Moves buffers that the file does not hold to their devices and, over several devices, puts accelerate's hooks on
    every module of the map, so that it takes its inputs where it lies.
    """
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    for name, module in model.named_modules():
        for key, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[key] = buffer.to(device_of(name, devices))
    if len(set(devices.values())) == 1:
        return
    # The KV cache: each layer's part stays where the layer is.
    skipped = getattr(model, '_skip_keys_device_placement', None)
    for name, device in {**devices, '': main_device(devices)}.items():
        hook = AlignDevicesHook(device, io_same_device=not name, skip_keys=skipped, place_submodules=False)
        add_hook_to_module(model.get_submodule(name), hook)
    # As devices, not as 'cpu': peft would take that word to mean weights that travel.
    model.hf_device_map = dict(devices)
