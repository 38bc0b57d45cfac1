"""Whether a file and a model fit together, by names and shapes alone: asked before weights are read, and by `inspect`."""

from __future__ import annotations

from ..checkpoint.linear_spec import TENSOR_PARTS
from ..errors import GPTQError
from ..util.types import TransformersModel
from .linear_places import find_place
from .load_plan import LoadPlan
from .never_filled import missing_buffers
from .tensor_names import NameMap


def check_places(model: TransformersModel, plan: LoadPlan, names: NameMap) -> None:
    """Raises GPTQError where the model has no place for a quantised linear, or one of another size, where shapes differ, or where
    the file lacks a weight or a learned buffer.
    """
    file, tensors, specs = plan.checkpoint.name, plan.checkpoint.tensors, plan.specs
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters(remove_duplicate=False)}
    given = set()
    for module, spec in specs.items():
        weight = f'{module}.weight'
        if not names.is_left_out(weight):
            place = names(weight).removesuffix('.weight')
            find_place(model, place, spec, file)
            given |= {f'{place}.weight', *([f'{place}.bias'] if f'{module}.bias' in tensors else [])}
    for name, info in tensors.items():
        module, _, part = name.rpartition('.')
        target = names(name)
        if (module in specs and part in TENSOR_PARTS) or target not in shapes:
            continue
        if shapes[target] != info.shape:
            raise GPTQError(
                f'{file} holds {target} of shape {info.shape}, config.json asks for {shapes[target]}; one of them '
                'belongs to another model.'
            )
        given.add(target)
    aliases: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        aliases.setdefault(id(p), []).append(name)
    tied = _names_of_embeddings(model) if getattr(model, '_tied_weights_keys', None) else set()
    for alike in aliases.values():
        if not given & set(alike) and not (tied & set(alike) and tied & given):
            raise GPTQError(f'{file} lacks the tensor {alike[0]}; download it again.')
    buffers = missing_buffers(model, {names(name) for name in tensors})
    if buffers:
        raise GPTQError(f'{file} lacks the tensor {buffers[0]}; download it again.')


def _names_of_embeddings(model: TransformersModel) -> set[str]:
    """The names of the weights of embeddings and lm_head, where they have the same shape: one may serve as both."""
    modules = [m for m in (model.get_input_embeddings(), model.get_output_embeddings()) if m is not None]
    weights = [m.weight for m in modules if getattr(m, 'weight', None) is not None]
    if len({tuple(w.shape) for w in weights}) != 1:
        return set()
    return {n for n, p in model.named_parameters(remove_duplicate=False) if any(p is w for w in weights)}
