"""Quantisation parameters as the tensors of a checkpoint show them, whatever its config says. Standard library alone.

With in_features K, out_features N, bits b and G groups: `scales` is [G, N], `qzeros` [G, N*b/32] and `qweight` [K*b/32, N],
so b = 32 * qzeros.shape[1] / N and K = 32 * qweight.shape[0] / b. `g_idx` [K] names the group of each row.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from ..errors import GPTQError
from .checkpoint import Checkpoint
from .group_index import GroupIndex
from .linear_spec import BITS, LinearSpec
from .other_formats import check_tensors_are_gptq
from .quantize_config import FORMATS, QuantizeConfig
from .validation import check_g_idx, check_no_orphan_tensors

GROUP_SIZES = (16, 32, 64, 128, 256, 512, 1024)  # that quantisers offer
_ZERO_WORDS = 3 * 1024  # of a qzeros: enough to see whether its quantiser was symmetric, and whole in 3 bits
_ZERO_SAMPLES = 8  # linears whose zeros are looked at, from the first to the last


@dataclass(frozen=True)
class InferredQuantization:
    """Quantisation parameters as the tensors show them; `config_mismatches` has a sentence for each setting that they refute."""

    specs: dict[str, LinearSpec]
    checkpoint_format: str
    format_reason: str
    symmetric: bool
    config_mismatches: list[str]

    def values(self, field: str) -> list[Any]:
        """The distinct values of a LinearSpec's field, the most common first."""
        return [v for v, _ in Counter(getattr(s, field) for s in self.specs.values()).most_common()]


def infer_quantization(
    checkpoint: Checkpoint, config: QuantizeConfig, checkpoint_format: str | None = None
) -> InferredQuantization:
    """Reads shapes, every g_idx and a few zeros. `checkpoint_format` is the user's choice, which is final.

    Raises GPTQError where the checkpoint holds no quantised linear, or one whose tensors make no sense.
    """
    tensors, modules = checkpoint.tensors, checkpoint.quantized_modules()
    check_tensors_are_gptq(tensors, checkpoint.name)
    if not modules:
        raise GPTQError(
            f'{checkpoint.name} has no quantised linear (no .qweight); it is not a GPTQ checkpoint, so use another loader '
            'for it.'
        )
    check_no_orphan_tensors(tensors, checkpoint.name)
    specs = {module: infer_spec(module, checkpoint, config.group_size) for module in modules}
    if any(spec.desc_act for spec in specs.values()):
        for module in modules:
            name = f'{module}.g_idx'
            index = checkpoint.group_index(name) if name in tensors else None
            check_g_idx(index, tensors[f'{module}.scales'].shape[0], module, checkpoint.name)
    step = -(-len(modules) // _ZERO_SAMPLES)
    detected = {
        symmetric_format(specs[m].bits, checkpoint.read_ints(f'{m}.qzeros', _ZERO_WORDS)) for m in modules[::step]
    }
    from_config = config.sources.get('checkpoint_format', 'default') != 'default'
    configured = config.checkpoint_format if from_config else None
    resolved, reason = resolve_format(checkpoint_format, configured, detected)
    found = InferredQuantization(
        specs={m: replace(spec, checkpoint_format=resolved) for m, spec in specs.items()},
        checkpoint_format=resolved,
        format_reason=reason or config.sources['checkpoint_format'],
        symmetric=None not in detected,
        config_mismatches=list(config.notes),
    )
    checked_format = configured if checkpoint_format is None else None  # the user's choice refutes no config
    found.config_mismatches.extend(_config_mismatches(found, config, checked_format))
    return found


def _config_mismatches(found: InferredQuantization, config: QuantizeConfig, checked_format: str | None) -> list[str]:
    """One sentence for each setting that no tensor confirms."""
    sizes = {-1 if s.group_size == s.in_features else s.group_size for s in found.specs.values()}
    sizes |= set(found.values('group_size'))
    settings: tuple[tuple[str, Any, list[Any]], ...] = (
        ('bits', config.bits, found.values('bits')),
        ('group_size', config.group_size, sorted(sizes)),
        ('desc_act', config.desc_act, [any(found.values('desc_act'))]),
        ('sym', config.sym, [found.symmetric]),
        ('checkpoint_format', checked_format, [found.checkpoint_format]),
    )
    return [
        f'{config.sources[name]} says {name} is {value}; the tensors have {", ".join(map(str, actual))}, and that is used.'
        for name, value, actual in settings
        if value is not None and config.sources.get(name, 'default') != 'default' and value not in actual
    ]


def infer_spec(module: str, checkpoint: Checkpoint, configured_group_size: int | None) -> LinearSpec:
    """The LinearSpec of one quantised linear. Raises GPTQError where its tensors contradict each other.

    `configured_group_size`, the config's, decides only where the tensors cannot: a short last group without a g_idx.
    """
    tensors, file = checkpoint.tensors, checkpoint.name
    shapes = {}
    for part in ('qweight', 'qzeros', 'scales'):
        info = tensors.get(f'{module}.{part}')
        if info is None:
            raise GPTQError(f'{file} lacks the tensor {module}.{part}; download it again.')
        if len(info.shape) != 2 or 0 in info.shape:
            raise GPTQError(
                f'{file} holds {module}.{part} of shape {info.shape}, which is not GPTQ; download it again.'
            )
        allowed = ('F16', 'BF16', 'F32') if part == 'scales' else ('I32',)
        if info.dtype not in allowed:
            raise GPTQError(
                f'{file} holds {module}.{part} as {info.dtype}; this loader reads {", ".join(allowed)}, so use GPTQModel for it.'
            )
        shapes[part] = info.shape
    (words, out_features), (groups, columns) = shapes['qweight'], shapes['scales']
    zero_groups, zero_words = shapes['qzeros']
    if columns != out_features or zero_groups != groups:
        raise GPTQError(
            f'{file} holds {module} with qweight {shapes["qweight"]}, scales {shapes["scales"]} and qzeros '
            f'{shapes["qzeros"]}, which do not belong together; download it again.'
        )
    bits = 32 * zero_words / out_features
    if bits not in BITS:
        raise GPTQError(f'{file} holds {module} in {bits:g} bits; this loader reads 2, 3, 4 and 8.')
    bits = int(bits)
    if words * 32 % bits:
        raise GPTQError(
            f'{file} holds {module}.qweight of shape {shapes["qweight"]}, not whole in {bits} bits; download it again.'
        )
    in_features = words * 32 // bits
    g_idx = _group_index(module, checkpoint, in_features, groups)
    group_size = _group_size(module, in_features, groups, g_idx, configured_group_size, file)
    desc_act = g_idx is not None and not g_idx.is_sequential
    bias = tensors.get(f'{module}.bias')
    if bias is not None and bias.shape != (out_features,):
        raise GPTQError(
            f'{file} holds {module}.bias of shape {bias.shape} where {(out_features,)} is expected; download it again.'
        )
    # Rows sorted by group fall into groups of one size only where each has as many; in sequence the last may be short.
    irregular_groups = group_size * groups != in_features if desc_act else -(-in_features // group_size) != groups
    return LinearSpec(in_features, out_features, bits, group_size, desc_act, irregular_groups=irregular_groups)


def _group_index(module: str, checkpoint: Checkpoint, in_features: int, groups: int) -> GroupIndex | None:
    """What the checked g_idx shows; None where there is none, or an all-zero one, which says nothing."""
    name, file = f'{module}.g_idx', checkpoint.name
    info = checkpoint.tensors.get(name)
    if info is None:
        return None
    if info.shape != (in_features,) or info.dtype != 'I32':
        raise GPTQError(
            f'{file} holds {name} as {info.dtype} {info.shape} where I32 {(in_features,)} is expected; download it again.'
        )
    found = checkpoint.group_index(name)
    if found.is_zero:
        return None
    if found.lowest < 0 or found.highest >= groups:
        raise GPTQError(f'{file} holds {name} with groups outside 0 to {groups - 1}; download it again.')
    return found


def _group_size(
    module: str, in_features: int, groups: int, g_idx: GroupIndex | None, configured: int | None, file: str
) -> int:
    """Rows of one full group. Several sizes give as many groups where the last is short: without a g_idx the config
    decides then, and without a config a size that quantisers offer.
    """
    if groups == 1:
        return in_features
    if g_idx is not None:
        return g_idx.largest_group
    even = in_features // groups if in_features % groups == 0 else None
    if even in GROUP_SIZES:
        return even
    for size in (configured, *GROUP_SIZES):
        if size and size > 0 and -(-in_features // size) == groups:
            return size
    if even:
        return even
    raise GPTQError(
        f'{file} holds {module} with {groups} groups for {in_features} rows, which no group size gives; download it again.'
    )


def symmetric_format(bits: int, stored_zeros: array[int]) -> str | None:
    """The format of a linear whose stored zeros are all one and the same symmetric one; None where they are not.

    A symmetric quantiser makes every zero 2**(bits-1), which v1 stores less one.
    """
    number = sum((word & 0xFFFFFFFF) << (32 * i) for i, word in enumerate(stored_zeros[:bits]))
    middle = 2 ** (bits - 1)
    # 32 values lie in `bits` words, and all zeros being one, each such stretch is like the first.
    whole = len(stored_zeros) // bits * bits
    if not whole or stored_zeros[:whole] != stored_zeros[:bits] * (whole // bits):
        return None
    fields = {(number >> (bits * i)) & (2**bits - 1) for i in range(32)}
    return {middle - 1: 'gptq', middle: 'gptq_v2'}.get(fields.pop()) if len(fields) == 1 else None


def resolve_format(requested: str | None, configured: str | None, detected: set[str | None]) -> tuple[str, str]:
    """('gptq' or 'gptq_v2', why; '' where the config decides). The user's choice is final; then symmetric zeros, where all
    that were `detected` say the same; then the config; then v1, as nearly all files are. Raises GPTQError for another name.
    """
    if requested:
        if requested not in FORMATS:
            raise GPTQError(f'There is no checkpoint format {requested}; choose {" or ".join(FORMATS)}.')
        return requested, 'named by the user'
    if len(detected) == 1 and (found := next(iter(detected))) is not None:
        if found == configured:
            return configured, ''
        return found, f'its zeros are those of a symmetric {"v2" if found == "gptq_v2" else "v1"} file'
    if configured:
        return configured, ''
    return 'gptq', 'as nearly all files are'
