"""AutoGPTQ's Python interface, as far as the model cards use it, so that their examples run with one import changed.

Source of names and defaults: AutoGPTQ 0.7.1, `AutoGPTQForCausalLM.from_quantized` and `BaseQuantizeConfig`.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass

from ..checkpoint.hub import resolve_folder
from ..checkpoint.quantize_config import parse_settings
from ..checkpoint.weight_files import list_checkpoints, match_name
from .load import load

log = logging.getLogger('airoboros_gptq')

# What AutoGPTQ takes and we have no use for: our kernels are chosen by what fits.
_IGNORED = frozenset(
    'device_map max_memory low_cpu_mem_usage inject_fused_attention inject_fused_mlp use_cuda_fp16 strict use_marlin '
    'warmup_triton trainable disable_exllama disable_exllamav2 use_tritonv2'.split()
)


@dataclass
class BaseQuantizeConfig:
    """Quantisation parameters given by hand, in place of the folder's quantize_config.json."""

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
    """Only a place for `from_quantized`; what it returns is an ordinary transformers model."""

    def __init__(self):
        raise TypeError('AutoGPTQForCausalLM is not made by hand; call AutoGPTQForCausalLM.from_quantized(folder).')

    @classmethod
    def from_quantized(
        cls,
        model_name_or_path,
        device=None,
        use_triton: bool = False,
        torch_dtype=None,
        use_safetensors: bool = True,
        trust_remote_code: bool = False,
        model_basename: str | None = None,
        quantize_config: BaseQuantizeConfig | None = None,
        revision: str | None = None,
        **ignored,
    ):
        """The model of a GPTQ folder or repository. A `model_basename` that is not there (cards went stale when files
        were renamed) is logged, and the checkpoint is chosen as if none had been named. Raises GPTQError.
        """
        unknown = sorted(set(ignored) - _IGNORED)
        if unknown:
            raise TypeError(f'from_quantized got an unexpected argument {unknown[0]!r}.')
        if not use_safetensors:
            log.warning('use_safetensors=False is ignored: a pickle is read where there is no safetensors file.')
        if use_triton:
            log.warning('use_triton=True is ignored: the fastest kernel that fits is taken.')
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
