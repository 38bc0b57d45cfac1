"""The empty model: transformers' modules on the meta device, without weights."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import GPTQError, first_line
from .load_plan import LoadPlan
from .untrusted_config import drop_code_names

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger('airoboros_gptq')


def make_skeleton(plan: LoadPlan) -> PreTrainedModel:
    """The model of the folder's config.json, parameters on the meta device, buffers computed on the CPU. Raises GPTQError
    where transformers cannot build it.
    """
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    folder, attention = plan.summary.folder, plan.attn_implementation
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=plan.trust_remote_code)
        config.quantization_config = None  # read by this package; transformers would ask for optimum
        del config.quantization_config
        drop_code_names(config, plan.trust_remote_code)
        if attention in (None, 'sdpa') and getattr(config, 'attn_logit_softcapping', None):
            # Gemma-2's. sdpa leaves the capping out: transformers 5.6 takes it without a word, 5.23 refuses it. The
            # webui asks for sdpa where the user chose nothing, so it is no choice to insist on.
            log.info('%s: attention runs as eager, because sdpa cannot cap its logits', folder.name)
            attention = 'eager'
        if attention:
            config._attn_implementation = attention
        dtype_key = 'dtype' if hasattr(config, 'dtype') else 'torch_dtype'  # the name since transformers 4.56
        setattr(config, dtype_key, plan.dtype)
        with init_empty_weights(include_buffers=False), _no_init_weights():  # random numbers for a 7B take 0.4 s
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config, trust_remote_code=plan.trust_remote_code)
            return model
    except MemoryError:
        raise
    except Exception as e:  # a wrong config makes transformers and torch raise nearly anything
        how = f' with attn_implementation={attention!r}' if attention else ''
        raise GPTQError(
            f'{folder / "config.json"} describes a model that transformers cannot build{how}: {first_line(e)}'
        ) from e


def _no_init_weights() -> Any:
    """transformers' context in which modules are not initialised."""
    try:
        module = import_module('transformers.initialization')
    except ImportError:  # before transformers 5
        module = import_module('transformers.modeling_utils')
    return module.no_init_weights()
