"""AutoGPTQ's Python interface, as far as the model cards use it, so that their examples run with one import changed.

Source of names and defaults: AutoGPTQ 0.7.1, `AutoGPTQForCausalLM.from_quantized` and `BaseQuantizeConfig`.
"""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from ..checkpoint.hub import resolve_folder
from ..checkpoint.quantize_config import parse_settings
from ..checkpoint.weight_files import list_checkpoints, match_name
from .load import load

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

log = logging.getLogger('airoboros_gptq')

# Arguments of AutoGPTQ that choose among its kernels; here the file and the device decide.
_IGNORED = frozenset(
    'device_map max_memory low_cpu_mem_usage inject_fused_attention inject_fused_mlp use_cuda_fp16 strict use_marlin '
    'warmup_triton trainable disable_exllama disable_exllamav2 use_tritonv2'.split()
)


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
        quantize_config: BaseQuantizeConfig | None = None,
        revision: str | None = None,
        **ignored: Any,
    ) -> PreTrainedModel:
        """The model of a GPTQ folder or repository. A `model_basename` that is not in it (cards are out of date since
        files were renamed) is logged, and the checkpoint is chosen as if none had been named. Raises GPTQError.
        """
        unknown = sorted(set(ignored) - _IGNORED)
        if unknown:
            raise TypeError(f'from_quantized got an unexpected argument {unknown[0]!r}.')
        if not use_safetensors:
            log.warning('use_safetensors=False is ignored: pickles are read only where there is no safetensors file.')
        if use_triton:
            log.warning('use_triton=True is ignored: the fastest kernel that fits is used.')
        folder = resolve_folder(model_name_or_path, revision)
        if model_basename and match_name(list_checkpoints(folder), model_basename) is None:
            log.warning(
                '%s has no %s.safetensors, the name is out of date; choosing by its config.', folder, model_basename
            )
            model_basename = None
        config = None
        if quantize_config is not None:
            config = parse_settings(asdict(quantize_config), 'the quantize_config given')
        model, _ = load(
            folder,
            checkpoint=model_basename,
            device=device,
            dtype=torch_dtype,
            quantize_config=config,
            trust_remote_code=trust_remote_code,
        )
        return model
