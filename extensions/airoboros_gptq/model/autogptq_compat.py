"""AutoGPTQ's Python interface, as far as the model cards use it, so that their examples run with one import changed.

Source of names and defaults: AutoGPTQ 0.7.1, `AutoGPTQForCausalLM.from_quantized` and `BaseQuantizeConfig`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from ..checkpoint.hub import resolve_folder
from ..checkpoint.quantize_config import parse_settings
from ..checkpoint.weight_files import list_checkpoints, match_name
from ..errors import GPTQError
from .load import load

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from .load_plan import MaxMemory

log = logging.getLogger('airoboros_gptq')

# Arguments of AutoGPTQ, or of the from_pretrained() that it handed them to, which have no meaning here: the file and the device
# decide among kernels.
_IGNORED = frozenset(
    'low_cpu_mem_usage inject_fused_attention inject_fused_mlp use_cuda_fp16 strict use_marlin use_qigen use_tritonv2 '
    'warmup_triton trainable disable_exllama disable_exllamav2 offload_folder offload_state_dict '
    'use_flash_attention_2 use_flash_attn resume_download'.split()
)
# Of them the hub's, which go to snapshot_download().
_HUB = frozenset('cache_dir token local_files_only force_download'.split())


@dataclass
class BaseQuantizeConfig:
    """Quantisation settings given by hand, in place of the folder's quantize_config.json."""

    bits: int = 4
    group_size: int = -1
    damp_percent: float = 0.01
    desc_act: bool = True
    sym: bool = True
    true_sequential: bool = True
    checkpoint_format: str = 'gptq'
    model_name_or_path: str | None = None
    model_file_base_name: str | None = None


class AutoGPTQForCausalLM:
    """Holds `from_quantized`, which returns an ordinary transformers model. There are no instances of this class."""

    def __init__(self) -> NoReturn:
        raise TypeError('AutoGPTQForCausalLM is not instantiated; call AutoGPTQForCausalLM.from_quantized(folder).')

    @classmethod
    def from_quantized(
        cls,
        model_name_or_path: str | os.PathLike[str],
        device: str | int | torch.device | None = None,
        use_triton: bool = False,
        torch_dtype: torch.dtype | None = None,
        use_safetensors: bool = True,
        trust_remote_code: bool = False,
        model_basename: str | None = None,
        quantize_config: BaseQuantizeConfig | Mapping[str, Any] | None = None,
        revision: str | None = None,
        device_map: str | Mapping[str, Any] | None = None,
        max_memory: MaxMemory | None = None,
        subfolder: str = '',
        attn_implementation: str | None = None,
        **others: Any,
    ) -> PreTrainedModel:
        """The model of a GPTQ folder or repository, with a `quantize_config` that says how it is quantised. A
        `model_basename` that is not in it (cards are out of date since files were renamed) is logged, and the checkpoint is
        chosen as if none had been named.

        `max_memory` spreads the model as load()'s does, and so does `device_map` 'auto', 'balanced' or 'sequential' over
        several GPUs, with what is free there; a device's name is `device`, and a map by module is ignored. `others` are the
        hub's cache_dir, token, local_files_only and force_download, and arguments of AutoGPTQ that have no meaning here;
        what is ignored is logged. Raises GPTQError.
        """
        if 'use_auth_token' in others:  # what the hub called it before
            others.setdefault('token', others.pop('use_auth_token'))
        unknown = sorted(set(others) - _IGNORED - _HUB)
        if unknown:
            raise TypeError(f'from_quantized got an unexpected argument {unknown[0]!r}.')
        hub_options = {name: value for name, value in others.items() if name in _HUB}
        ignored = sorted(set(others) & _IGNORED)
        if ignored:
            log.warning('from_quantized ignores %s.', ', '.join(ignored))
        device, max_memory = _placement(device, device_map, max_memory)
        if not use_safetensors:
            log.warning('use_safetensors=False is ignored: pickles are read only where there is no safetensors file.')
        if use_triton:
            log.warning('use_triton=True is ignored: the fastest kernel that fits is used.')
        folder = resolve_folder(model_name_or_path, revision, trust_remote_code, subfolder or '', **hub_options)
        if model_basename and match_name(list_checkpoints(folder), model_basename) is None:
            log.warning(
                '%s has no %s.safetensors, the name is out of date; choosing by its config.', folder, model_basename
            )
            model_basename = None
        config = None
        if quantize_config is not None:
            settings = quantize_config if isinstance(quantize_config, Mapping) else asdict(quantize_config)
            config = parse_settings(dict(settings), 'the quantize_config given')
        model, _ = load(
            folder,
            checkpoint=model_basename,
            device=device,
            dtype=torch_dtype,
            quantize_config=config,
            trust_remote_code=trust_remote_code,
            max_memory=max_memory,
            attn_implementation=attn_implementation,
        )
        runnable: Any = model
        given = None if isinstance(quantize_config, Mapping) else quantize_config
        runnable.quantize_config = given or _config_of(model)
        return model

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """AutoGPTQ's first step of quantising a model, which this package does not do."""
        raise GPTQError(
            'AutoGPTQForCausalLM.from_pretrained loads a model in order to quantise it, which this package does not do; '
            'quantise it with GPTQModel, or load a GPTQ folder with AutoGPTQForCausalLM.from_quantized.'
        )


def _placement(device: Any, device_map: Any, max_memory: MaxMemory | None) -> tuple[Any, MaxMemory | None]:
    """(device, max_memory) as load() takes them. `max_memory` comes first, then `device_map`."""
    if device_map is None or max_memory is not None:
        return device, max_memory
    if isinstance(device_map, str) and device_map in ('auto', 'balanced', 'balanced_low_0', 'sequential'):
        import torch

        if str(device) == 'cpu' or torch.cuda.device_count() < 2:
            return device, None
        from accelerate.utils import get_max_memory

        free: MaxMemory = get_max_memory()
        return None, free
    if not isinstance(device_map, Mapping):
        return device_map, None
    named = set(device_map.values())
    if len(named) == 1:
        return named.pop(), None
    log.warning('from_quantized ignores a device_map by module; max_memory says how much of each device to use.')
    return device, None


def _config_of(model: PreTrainedModel) -> BaseQuantizeConfig:
    """The quantisation of the first quantised linear of a model, by its tensors; `sym` is not kept and stays the default."""
    from ..kernels.linear import GPTQLinear

    spec = next((m.spec for m in model.modules() if isinstance(m, GPTQLinear)), None)
    if spec is None:
        return BaseQuantizeConfig()
    whole = spec.group_size >= spec.in_features
    return BaseQuantizeConfig(
        spec.bits,
        -1 if whole else spec.group_size,
        desc_act=spec.desc_act,
        checkpoint_format=spec.checkpoint_format,
    )
