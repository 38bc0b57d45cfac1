"""What the tensors of a checkpoint say of its quantisation, whatever a config claims. Standard library alone.

With in_features K, out_features N, bits b and G groups: `scales` is [G, N], `qzeros` [G, N*b/32] and `qweight` [K*b/32, N],
so b = 32 * qzeros.shape[1] / N and K = 32 * qweight.shape[0] / b. `g_idx` [K] names the group of each row.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from .checkpoint import Checkpoint
from .config import QuantizeConfig
from .errors import GPTQError
from .linear_spec import LinearSpec
from .safetensors_header import TensorInfo

WIDTHS = (2, 3, 4, 8)
ReadInts = Callable[[str], array]
_ZERO_WORDS = 4096  # of one qzeros: enough to see whether a quantiser was symmetric


@dataclass(frozen=True)
class Evidence:
    """What is so, whatever was claimed. `disagreements` has a sentence for each claim that the tensors refute."""

    specs: dict[str, LinearSpec]
    checkpoint_format: str
    format_reason: str
    disagreements: list[str]

    def values(self, field: str) -> list:
        """The distinct values of a LinearSpec's field, the commonest first."""
        return [v for v, _ in Counter(getattr(s, field) for s in self.specs.values()).most_common()]


def gather(checkpoint: Checkpoint, config: QuantizeConfig, checkpoint_format: str | None = None) -> Evidence:
    """Reads shapes, every g_idx and a few zeros. `checkpoint_format` is the user's word, which is final.

    Raises GPTQError where the checkpoint holds no quantised linear, or one whose tensors make no sense.
    """
    tensors, modules = checkpoint.tensors, checkpoint.quantised_modules()
    if not modules:
        raise GPTQError(
            f'{checkpoint.headers[0].path} has no quantised linear (no .qweight); it is not a GPTQ checkpoint, so use '
            'another loader for it.'
        )
    specs = {m: module_spec(m, tensors, checkpoint.read_ints, config.group_size, checkpoint.name) for m in modules}
    if checkpoint_format:
        reason = 'named by the user'
    else:
        claimed = None if config.sources.get('checkpoint_format') == 'default' else config.checkpoint_format
        zeros = checkpoint.read_ints(f'{modules[0]}.qzeros', _ZERO_WORDS)
        checkpoint_format, reason = decide_format(claimed, specs[modules[0]].bits, zeros)
    specs = {m: replace(spec, checkpoint_format=checkpoint_format) for m, spec in specs.items()}
    found = Evidence(specs, checkpoint_format, reason or config.sources['checkpoint_format'], [])
    found.disagreements.extend(_disagreements(found, config))
    return found


def _disagreements(found: Evidence, config: QuantizeConfig) -> list[str]:
    """One sentence for each claim that no tensor bears out."""
    sentences = []
    sizes = {-1 if s.group_size == s.in_features else s.group_size for s in found.specs.values()}
    sizes |= set(found.values('group_size'))
    for name, claim, is_so, shown in (
        ('bits', config.bits, config.bits in found.values('bits'), found.values('bits')),
        ('group_size', config.group_size, config.group_size in sizes, sorted(sizes)),
        (
            'desc_act',
            config.desc_act,
            config.desc_act == any(found.values('desc_act')),
            [any(found.values('desc_act'))],
        ),
    ):
        source = config.sources.get(name, 'default')
        if claim is not None and source != 'default' and not is_so:
            shown = ', '.join(map(str, shown))
            sentences.append(f'{source} says {name} is {claim}; the tensors have {shown}, and that is used.')
    return sentences


def module_spec(
    module: str, tensors: Mapping[str, TensorInfo], read_ints: ReadInts, claimed_group_size: int | None, file: str
) -> LinearSpec:
    """The LinearSpec of one quantised linear. Raises GPTQError where its tensors contradict each other.

    `claimed_group_size` decides only where the tensors cannot: a last group that is not full, without a g_idx.
    """
    shapes = {}
    for part in ('qweight', 'qzeros', 'scales'):
        info = tensors.get(f'{module}.{part}')
        if info is None:
            raise GPTQError(f'{file} lacks the tensor {module}.{part}; download it again.')
        if len(info.shape) != 2 or 0 in info.shape:
            raise GPTQError(
                f'{file} holds {module}.{part} of shape {info.shape}, which is not GPTQ; download it again.'
            )
        shapes[part] = info.shape
    (words, out_features), (groups, columns) = shapes['qweight'], shapes['scales']
    zero_groups, zero_words = shapes['qzeros']
    if columns == out_features * 8 and zero_words == out_features:
        # AWQ packs qweight along out_features, as it does qzeros.
        raise GPTQError(f'{file} is an AWQ checkpoint, not GPTQ; load its folder with a loader that reads AWQ.')
    if columns != out_features or zero_groups != groups:
        raise GPTQError(
            f'{file} holds {module} with qweight {shapes["qweight"]}, scales {shapes["scales"]} and qzeros '
            f'{shapes["qzeros"]}, which do not belong together; download it again.'
        )
    bits = 32 * zero_words / out_features
    if bits not in WIDTHS:
        raise GPTQError(f'{file} holds {module} in {bits:g} bits; this loader reads 2, 3, 4 and 8.')
    bits = int(bits)
    if words * 32 % bits:
        raise GPTQError(
            f'{file} holds {module}.qweight of shape {shapes["qweight"]}, not whole in {bits} bits; download it again.'
        )
    in_features = words * 32 // bits
    g_idx = _group_index(module, tensors, read_ints, in_features, groups, file)
    group_size = _group_size(module, in_features, groups, g_idx, claimed_group_size, file)
    desc_act = g_idx is not None and g_idx != _sequential(in_features, group_size)
    bias = tensors.get(f'{module}.bias')
    if bias is not None and bias.shape != (out_features,):
        raise GPTQError(
            f'{file} holds {module}.bias of shape {bias.shape} where {(out_features,)} is expected; download it again.'
        )
    return LinearSpec(in_features, out_features, bits, group_size, desc_act)


def _group_index(module, tensors, read_ints: ReadInts, in_features: int, groups: int, file: str) -> array | None:
    """The checked values of g_idx; None where there is none, or an all-zero one, which says nothing."""
    info = tensors.get(f'{module}.g_idx')
    if info is None:
        return None
    if info.shape != (in_features,) or info.dtype != 'I32':
        raise GPTQError(
            f'{file} holds {module}.g_idx as {info.dtype} {info.shape} where I32 {(in_features,)} is expected; '
            'download it again.'
        )
    values = read_ints(f'{module}.g_idx')
    if not any(values):
        return None
    if min(values) < 0 or max(values) >= groups:
        raise GPTQError(f'{file} holds {module}.g_idx with groups outside 0 to {groups - 1}; download it again.')
    return values


def _group_size(module, in_features: int, groups: int, g_idx, claimed: int | None, file: str) -> int:
    """Rows of one full group."""
    if groups == 1:
        return in_features
    if g_idx is not None:
        return max(Counter(g_idx).values())
    if in_features % groups == 0:
        return in_features // groups
    if claimed and claimed > 0 and -(-in_features // claimed) == groups:
        return claimed
    fitting = [size for size in (16, 32, 64, 128, 256, 512, 1024) if -(-in_features // size) == groups]
    if len(fitting) == 1:
        return fitting[0]
    raise GPTQError(
        f'{file} holds {module} with {groups} groups for {in_features} rows, which no group size gives; download it again.'
    )


def decide_format(claimed: str | None, bits: int, stored_zeros: array) -> tuple[str, str]:
    """('gptq' or 'gptq_v2', why). A few words of a qzeros tell where a quantiser was symmetric: every zero is then
    2**(bits-1), which v1 stores less one. Elsewhere the claim decides, and v1, as nearly all files are, where there is none.
    """
    if stored_zeros and 32 % bits == 0:
        fields = {(word >> shift) & (2**bits - 1) for word in stored_zeros for shift in range(0, 32, bits)}
        middle = 2 ** (bits - 1)
        if fields == {middle - 1} and claimed != 'gptq':
            return 'gptq', 'its zeros are those of a symmetric v1 file'
        if fields == {middle} and claimed != 'gptq_v2':
            return 'gptq_v2', 'its zeros are those of a symmetric v2 file'
    if claimed:
        return claimed, ''
    return 'gptq', 'as nearly all files are'


@lru_cache
def _sequential(in_features: int, group_size: int) -> array:
    """g_idx as it is without act-order."""
    return array('i', (k // group_size for k in range(in_features)))
