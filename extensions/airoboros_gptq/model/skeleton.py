"""The empty model: transformers' modules on the meta device, without weights."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..checkpoint.model_types import runs_own_code, with_native_type
from ..errors import GPTQError, quote_error
from .bounded_build import bounded_build
from .load_plan import LoadPlan
from .parameter_dtypes import set_parameter_dtypes
from .untrusted_config import drop_code_names
from .vision import remove_vision

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

log = logging.getLogger('airoboros_gptq')

# Their language half reads a prompt in both directions, which the model class for text alone does not.
_WHOLE_ONLY = ('paligemma',)


class Resolved(NamedTuple):
    """The config of the language model, and the Auto class that builds it."""

    config: PreTrainedConfig
    model_class: Any


def make_skeleton(plan: LoadPlan, resolved: Resolved | None = None) -> PreTrainedModel:
    """The language model of the folder's config.json, parameters on the meta device, buffers computed on the CPU. Of a model
    that also sees it is the language half. `resolved` is resolve()'s answer where it is known. Raises GPTQError where
    transformers cannot build it.
    """
    from accelerate import init_empty_weights

    folder, attention = plan.summary.folder, plan.attn_implementation
    config, model_class = resolved or resolve(plan)
    with _one_sentence(folder, attention):
        drop_code_names(config, plan.trust_remote_code)
        if attention in (None, 'sdpa') and getattr(config, 'attn_logit_softcapping', None):
            # Gemma-2's. sdpa leaves the capping out: transformers 5.6 takes it without a word, 5.23 refuses it. The
            # webui asks for sdpa where the user chose nothing, so it is no choice to insist on.
            log.info('%s: attention runs as eager, because sdpa cannot cap its logits', folder.name)
            attention = 'eager'
        if attention:
            config._attn_implementation = attention
        dtype_key = 'dtype' if hasattr(config, 'dtype') else 'torch_dtype'  # the name since transformers 4.56
        for part in (config, config.get_text_config(decoder=True)):
            setattr(part, dtype_key, plan.dtype)
        tensors = plan.checkpoint.tensors.values()
        bounds = bounded_build(len(tensors), sum(info.end - info.begin for info in tensors))
        # Random numbers for a 7B would take 0.4 s.
        with init_empty_weights(include_buffers=False), _no_init_weights(), bounds:
            model: PreTrainedModel = model_class.from_config(config, trust_remote_code=plan.trust_remote_code)
    if remove_vision(model) or config.model_type != (plan.summary.hf_config or {}).get('model_type', config.model_type):
        _tell_language_half(folder, model)
    set_parameter_dtypes(model, plan.dtype)
    return model


@contextlib.contextmanager
def _one_sentence(folder: Path, attention: str | None = None) -> Iterator[None]:
    """Makes a GPTQError of what transformers raises for a config: nearly anything, as it computes with what it says."""
    try:
        yield
    except (MemoryError, GPTQError):
        raise
    except Exception as e:
        how = f' with attn_implementation={attention!r}' if attention else ''
        raise GPTQError(
            f'{folder / "config.json"} describes a model that transformers cannot build{how}: {quote_error(e)}'
        ) from e


def resolve(plan: LoadPlan) -> Resolved:
    """The config of the language model and the Auto class that builds it, as from_pretrained() finds them: where a model has a
    class for its text alone, that one and the config nested in the folder's. Raises GPTQError where transformers cannot read it.
    """
    with _one_sentence(plan.summary.folder):
        return _resolve(_read_config(plan.summary.folder, plan.summary.hf_config or {}, plan.trust_remote_code), plan)


def _resolve(config: PreTrainedConfig, plan: LoadPlan) -> Resolved:
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    causal = AutoModelForCausalLM._model_mapping
    text = config.get_text_config(decoder=True)
    if hasattr(config, 'auto_map') and plan.trust_remote_code:
        return Resolved(config, AutoModelForCausalLM)
    if text is not config and type(text) in causal and config.model_type not in _WHOLE_ONLY:
        return Resolved(text, AutoModelForCausalLM)
    whole: Any = causal.get(type(config), None)
    if text is not config and whole is not None and whole.config_class is type(text):
        return Resolved(text, _ClassOf(whole))
    if type(config) not in causal and type(config) in AutoModelForImageTextToText._model_mapping:
        return Resolved(config, AutoModelForImageTextToText)
    return Resolved(config, AutoModelForCausalLM)


class _ClassOf:
    """A model class with the from_config() of an Auto class."""

    def __init__(self, model_class: Any) -> None:
        self._model_class = model_class

    def from_config(self, config: PreTrainedConfig, trust_remote_code: bool = False) -> PreTrainedModel:
        model: PreTrainedModel = self._model_class._from_config(config)
        return model


def _read_config(folder: Path, raw: dict[str, Any], trust_remote_code: bool) -> PreTrainedConfig:
    """config.json as transformers reads it, without the quantisation settings, which would make it ask for optimum."""
    from transformers import CONFIG_MAPPING, AutoConfig

    config: PreTrainedConfig
    native = with_native_type(raw)
    if native is raw and (runs_own_code(folder, raw) or 'auto_map' not in raw):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    else:  # under another name, or with an auto_map to code that is not there
        config = CONFIG_MAPPING[native['model_type']].from_dict({k: v for k, v in native.items() if k != 'auto_map'})
        config.name_or_path = str(folder)
    for part in {id(c): c for c in (config, config.get_text_config(decoder=True))}.values():
        part.quantization_config = None  # read by this package
        del part.quantization_config
    return config


def _tell_language_half(folder: Path, model: PreTrainedModel) -> None:
    log.info(
        '%s: only the language half is loaded, as a %s; pictures cannot be read with this loader', folder.name,
        type(model).__name__,
    )  # fmt: skip


def _no_init_weights() -> Any:
    """transformers' context in which modules are not initialised."""
    try:
        module = import_module('transformers.initialization')
    except ImportError:  # before transformers 5
        module = import_module('transformers.modeling_utils')
    return module.no_init_weights()
