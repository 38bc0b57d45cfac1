"""Checkpoints of other quantisation methods: told by their config or their tensors, with the program that loads them.

Standard library alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import GPTQError
from ..util.regular_file import open_regular, read_json
from .safetensors_header import read_header
from .tensor_info import TensorInfo

_PICKLE_START = 4_000_000  # bytes; names come in the order of the layers
_TRANSFORMERS = "transformers' own loader"
# quant_method in a config: (the name as people write it, what loads it).
OTHER_METHODS = {
    'awq': ('AWQ', 'vLLM, or transformers with gptqmodel'),
    'exl2': ('EXL2', 'ExLlamaV2 (TabbyAPI)'),
    'exl3': ('EXL3', 'ExLlamaV3'),
    'marlin': ('Marlin', 'vLLM, or take the GPTQ file it was made from'),
    'gptq_marlin': ('Marlin', 'vLLM, or take the GPTQ file it was made from'),
    'marlin_24': ('Marlin 2:4', 'vLLM'),
    'gptq_marlin_24': ('Marlin 2:4', 'vLLM'),
    'bitblas': ('BitBLAS', 'GPTQModel with BitBLAS'),
    'gptq_p': ('GPTQ-P', 'GPTQModel'),
    'qqq': ('QQQ', 'GPTQModel'),
    'bitsandbytes': ('bitsandbytes', _TRANSFORMERS),
    'hqq': ('HQQ', _TRANSFORMERS),
    'aqlm': ('AQLM', _TRANSFORMERS),
    'fp8': ('FP8', _TRANSFORMERS),
    'fbgemm_fp8': ('FP8', _TRANSFORMERS),
    'compressed-tensors': ('compressed-tensors', f'vLLM, or {_TRANSFORMERS} with compressed-tensors'),
}
_GPTQ_LAYOUTS = ('gptq_p',)  # whose tensors look like GPTQ's and mean something else
# Two suffixes that the tensors of one quantised linear have, where they tell a method by themselves.
_SUFFIXES = {
    'exl2': ('.q_weight', '.q_scale'),
    'exl3': ('.trellis', '.svh'),
    'marlin': ('.B', '.s'),
    'bitsandbytes': ('.weight.absmax', '.weight.quant_map'),
    'hqq': ('.W_q', '.W_q'),
    'aqlm': ('.codes', '.codebooks'),
    'compressed-tensors': ('.weight_packed', '.weight_scale'),
    'fp8': ('.weight_scale_inv', '.weight_scale_inv'),
}


def quant_method(settings: Mapping[str, Any]) -> str | None:
    """The method that the quantisation settings of a config name or imply, in lower case; None where they do neither."""
    if settings.get('is_marlin_format') is True:
        return 'marlin'
    layout = settings.get('checkpoint_format', settings.get('format'))
    if isinstance(layout, str) and layout.lower() in OTHER_METHODS:
        return layout.lower()
    method = settings.get('quant_method', settings.get('method'))
    if method is not None:
        return 'gptq' if is_auto_round(settings) and 'awq' not in auto_round_packing(settings) else str(method).lower()
    if str(settings.get('version')).lower().startswith('gem'):  # AutoAWQ's quant_config.json names its kernel alone
        return 'awq'
    if settings.get('load_in_4bit') is True or settings.get('load_in_8bit') is True:
        return 'bitsandbytes'
    return None


def is_auto_round(settings: Mapping[str, Any]) -> bool:
    """Whether AutoRound wrote these settings. It packs as GPTQ does, unless it is told otherwise."""
    return str(settings.get('quant_method')).lower().replace('_', '-').endswith(('auto-round', 'autoround'))


def auto_round_packing(settings: Mapping[str, Any]) -> str:
    """What AutoRound says of its packing, as 'auto_round:auto_gptq'; 'auto_round:auto_gptqmodel' is GPTQ v2."""
    return str(settings.get('packing_format', settings.get('backend', ''))).lower()


def is_refuted(method: str | None, folder: Path) -> bool:
    """Whether a folder's settings name another method and its tensors are GPTQ's all the same: they win."""
    return method not in (None, 'gptq', *_GPTQ_LAYOUTS) and holds_gptq_tensors(folder)


def check_method_is_gptq(settings: Mapping[str, Any], source: str) -> None:
    """Raises GPTQError, naming what to use instead, where the settings read in `source` are those of another method."""
    method = quant_method(settings)
    if method in (None, 'gptq'):
        return
    if method in OTHER_METHODS:
        raise GPTQError(f'{source} says that this is {_described(method)}.')
    raise GPTQError(f'{source} says quant_method is {method}; this loader reads gptq, so use another one for it.')


def _described(method: str) -> str:
    name, reader = OTHER_METHODS[method]
    both = name if name == method else f'{method} ({name})'
    return f'{both}, not GPTQ; load it with {reader}'


def detect_other_method(tensors: Mapping[str, TensorInfo]) -> str | None:
    """The key in OTHER_METHODS that fits the tensors; None where they are GPTQ's, or of no known method."""
    for name, info in tensors.items():
        if not name.endswith('.qweight'):
            continue
        module = name.removesuffix('.qweight')
        scales, qzeros = tensors.get(f'{module}.scales'), tensors.get(f'{module}.qzeros')
        if info.dtype in ('I8', 'U8'):
            return 'bitblas'
        if scales is None or qzeros is None or not len(info.shape) == len(scales.shape) == len(qzeros.shape) == 2:
            return None
        # AWQ is of 4 bits, and packs qweight along out_features, as it does qzeros: [K, N/8] and [G, N/8].
        awq = info.shape[1] == qzeros.shape[1] and info.shape[1] * 8 == scales.shape[1]
        return 'awq' if awq else None
    for method, (first, second) in _SUFFIXES.items():
        if any(n.endswith(first) and n.removesuffix(first) + second in tensors for n in tensors):
            return method
    return None


def check_tensors_are_gptq(tensors: Mapping[str, TensorInfo], file: str) -> None:
    """Raises GPTQError, naming what to use instead, where the tensors are those of another method."""
    method = detect_other_method(tensors)
    if method is not None:
        raise GPTQError(f'{file} is {_described(method)}.')


def holds_gptq_tensors(folder: Path) -> bool:
    """Whether a folder's tensors are those of a GPTQ model, whatever configs it has. Cheap; never raises."""
    try:
        for path in _files_to_check(folder):
            if path.suffix == '.safetensors':
                tensors = read_header(path, whole=False).tensors
                if any(n.endswith('.qweight') for n in tensors):
                    return detect_other_method(tensors) is None and _shapes_agree(tensors)
            elif _pickle_mentions(path, b'.qweight', b'.qzeros'):
                return True
    except (GPTQError, OSError):
        return False
    return False


def _shapes_agree(tensors: Mapping[str, TensorInfo]) -> bool:
    """Whether a qweight [K*b/32, N] has scales [G, N] and zeros [G, N*b/32]. True also where a part is missing."""
    module = next(n for n in tensors if n.endswith('.qweight')).removesuffix('.qweight')
    parts = [tensors.get(f'{module}.{part}') for part in ('qweight', 'qzeros', 'scales')]
    if any(info is None or len(info.shape) != 2 for info in parts):
        return True
    (_, columns), (zero_groups, _), (groups, outputs) = (info.shape for info in parts if info is not None)
    return columns == outputs and groups == zero_groups


def _files_to_check(folder: Path) -> list[Path]:
    """The files that may hold a `.qweight`: with an index, the first shard for which it lists one."""
    for index in sorted(folder.glob('*.safetensors.index.json')):
        try:
            listed = read_json(index)['weight_map'].items()
            shard = next((folder / Path(v).name for n, v in listed if n.endswith('.qweight')), None)
        except (GPTQError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if shard is not None and shard.is_file():
            return [shard]
    files = sorted(folder.glob('*.safetensors'))
    if files:
        # Of shards without an index the first will do.
        return [f for f in files if not re.search(r'-(?!00001-)\d{5}-of-\d{5}$', f.stem)]
    return [p for pattern in ('*.bin', '*.pt', '*.pth') for p in sorted(folder.glob(pattern))]


def _pickle_mentions(path: Path, *words: bytes) -> bool:
    """Whether all `words` stand at the beginning of a file that torch.save wrote: a zip archive whose first entry is the
    pickle, not compressed. Nothing is unpacked, which could take all memory, nor unpickled.
    """
    with open_regular(path) as file:
        start = file.read(_PICKLE_START)
    return start.startswith(b'PK') and b'data.pkl' in start[:1000] and all(word in start for word in words)
