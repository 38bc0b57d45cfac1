"""What a loaded model gets on top of transformers, all of it put on in one place."""

from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Callable
from typing import Any

from ..kernels.linear import GPTQLinear
from ..util.types import TransformersModel
from .cached_generate import cached_generate
from .cpu_attention import use_cpu_attention
from .fused_decode.forward import enable_fused_decode
from .fused_decode.graph_forward import GraphForward
from .lm_head import make_input_contiguous, use_compiled_lm_head
from .prompt_cache import PromptCache
from .saving import guard_saving
from .throughput import GenerationRecord, Throughput, memory_used


def attach(model: TransformersModel) -> ModelRuntime:
    """Gives a loaded transformers model its ModelRuntime, as `model.gptq`, and all that goes with it:

    - lm_head takes a contiguous row, and runs in the compiled library where the other linears do (lm_head.py);
    - on a CPU, attention runs in the compiled library, under a name of its own among transformers' attention functions
      (cpu_attention.py);
    - on an NVIDIA GPU, forward() decodes one token as one CUDA graph (fused_decode/);
    - generate() reuses the KV caches of earlier turns and decodes with less Python per token (cached_generate.py);
    - save_pretrained() and state_dict() say that they cannot (saving.py), and peft is told that it cannot merge.

    All are methods of a subclass with the name of the model's class, so that a bound `generate` keeps the model alive and the
    model does not refer to itself.
    """
    make_input_contiguous(model)
    use_compiled_lm_head(model)
    model_class: Any = type(model)
    with_runtime = _with_runtime(model_class)
    model.gptq = runtime = ModelRuntime(model)
    use_cpu_attention(model)  # asks the class as transformers has it what it allows
    model.quantization_method = 'gptq'  # peft refuses by it to merge an adapter
    model.__class__ = with_runtime
    return runtime


def transformers_class(model: TransformersModel) -> type:
    """The model's class as transformers has it: its forward() and generate() know nothing of a ModelRuntime."""
    return getattr(type(model), '_transformers_class', type(model))


class ModelRuntime:
    """Prompt cache, fused decoder, throughput and kernels of one model. Holds no reference that keeps the model alive."""

    def __init__(self, model: TransformersModel):
        self._model = weakref.ref(model)
        self._record: GenerationRecord | None = None
        self.should_stop: Callable[[], bool] | None = None  # asked for each token of a generation that begins now
        self.fused_forward: GraphForward | None = enable_fused_decode(model)
        self.prompt_cache = PromptCache(
            getattr(model.config.get_text_config(decoder=True), 'max_position_embeddings', None)
        )

    @property
    def throughput(self) -> Throughput | None:
        """Of the last answer, or of the one being written; None before the first token of the first."""
        return self._record.throughput if self._record else None

    @property
    def memory_used(self) -> str:
        """What the model takes of the GPU, or its process of RAM, in words."""
        return memory_used(self._alive())

    @property
    def description(self) -> str:
        """How the model runs, in a few words: its kernels, devices and dtype."""
        model = self._alive()
        kernels = sorted({m.kernel.name for m in model.modules() if isinstance(m, GPTQLinear)})
        device_map = getattr(model, 'hf_device_map', {'': model.device})
        devices = ' and '.join(dict.fromkeys(str(d) for d in device_map.values()))
        return f'{", ".join(kernels)} on {devices}, {str(model.dtype).removeprefix("torch.")}'

    def generate(self, model: TransformersModel, transformers_generate, args: tuple, kwargs: dict):
        """`transformers_generate` of the model's class, through the prompt cache."""

        def on_start(record: GenerationRecord) -> None:
            self._record = record

        return cached_generate(
            model, transformers_generate, self.prompt_cache, on_start, args, kwargs, self.should_stop
        )

    def _alive(self) -> TransformersModel:
        model = self._model()
        if model is None:
            raise ReferenceError('The model of this runtime was freed.')
        return model

    def __deepcopy__(self, memo: dict) -> ModelRuntime:
        """For a copy of the model, which decodes as transformers does: the fused decoder reads the original's weights."""
        copy = object.__new__(ModelRuntime)
        memo[id(self)] = copy
        model = memo[id(self._alive())]
        copy._model, copy._record, copy.fused_forward, copy.should_stop = weakref.ref(model), None, None, None
        copy.prompt_cache = PromptCache(self.prompt_cache.context)
        return copy


@functools.lru_cache
def _with_runtime(model_class: Any) -> type:
    """A subclass of a transformers model class, of the same name, whose forward() and generate() go through `self.gptq`."""
    plain_forward, plain_generate = model_class.forward, model_class.generate

    @functools.wraps(plain_forward)
    def forward(self, *args, **kwargs):
        fused = self.gptq.fused_forward
        output = None if fused is None else fused(args, kwargs)
        return plain_forward(self, *args, **kwargs) if output is None else output

    @functools.wraps(plain_generate)
    def generate(self, *args, **kwargs):
        return self.gptq.generate(self, plain_generate, args, kwargs)

    body = {key: getattr(model_class, key) for key in ('__module__', '__qualname__', '__doc__')}
    body |= {'forward': forward, 'generate': generate, '_transformers_class': model_class}
    body |= {name: guard_saving(getattr(model_class, name), name) for name in ('save_pretrained', 'state_dict')}
    return types.new_class(model_class.__name__, (model_class,), {}, lambda namespace: namespace.update(body))
