"""Whether a file and a model fit together, by names and shapes alone: asked before weights are read, and by `inspect`."""

from __future__ import annotations

from ..checkpoint.linear_spec import TENSOR_PARTS
from ..checkpoint.tensor_info import TensorInfo
from ..errors import GPTQError
from ..util.types import TransformersModel
from .linear_places import find_place
from .load_plan import LoadPlan
from .never_filled import missing_buffers
from .tensor_names import NameMap

_FLOATS = ('F64', 'F32', 'F16', 'BF16', 'F8_E4M3', 'F8_E5M2')


def check_places(model: TransformersModel, plan: LoadPlan, names: NameMap) -> None:
    """Raises GPTQError where the model has no place for a quantised linear, or one of another size, where shapes differ, where
    the file holds whole numbers for a weight, or lacks a weight or a learned buffer.
    """
    file, tensors, specs = plan.checkpoint.name, plan.checkpoint.tensors, plan.specs
    parameters = dict(model.named_parameters(remove_duplicate=False))
    shapes = {n: tuple(t.shape) for n, t in [*parameters.items(), *model.named_buffers(remove_duplicate=False)]}
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
        of_linear = module in specs and part in TENSOR_PARTS
        if (part == 'bias' if of_linear else target in parameters) and not names.is_left_out(name):
            _check_floats(info, target, file)
        if of_linear or target not in shapes:
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
    for alike in aliases.values():
        if not given & set(alike) and not _has_twin(model, alike, given):
            raise GPTQError(f'{file} lacks the tensor {alike[0]}; download it again.')
    buffers = missing_buffers(model, {names(name) for name in tensors})
    if buffers:
        raise GPTQError(f'{file} lacks the tensor {buffers[0]}; download it again.')


def _check_floats(info: TensorInfo, name: str, file: str) -> None:
    """Raises GPTQError where a weight or bias is stored as something else than floating point."""
    if info.dtype not in _FLOATS:
        raise GPTQError(f'{file} holds {name} as {info.dtype} where floating point is expected; download it again.')


def _has_twin(model: TransformersModel, names: list[str], given: set[str]) -> bool:
    """Whether a weight that the file lacks is one of embeddings and lm_head, and the other, which the file has, serves as both:
    the embeddings as lm_head, lm_head as embeddings where the config ties them (load_weights.py).
    """
    modules = (model.get_input_embeddings(), model.get_output_embeddings())
    embeddings, head = (getattr(module, 'weight', None) for module in modules)
    if not getattr(model, '_tied_weights_keys', None) or embeddings is None or head is None:
        return False
    if embeddings.shape != head.shape:
        return False
    called: dict[int, set[str]] = {id(embeddings): set(), id(head): set()}
    for name, p in model.named_parameters(remove_duplicate=False):
        called.get(id(p), set()).add(name)
    lacks_head = bool(called[id(head)] & set(names)) and bool(called[id(embeddings)] & given)
    lacks_embeddings = bool(called[id(embeddings)] & set(names)) and bool(called[id(head)] & given)
    return lacks_head or (lacks_embeddings and bool(getattr(model.config, 'tie_word_embeddings', False)))
