"""What each kernel can run, what its weights take in memory and which kernel `auto` takes: one rule for each kernel.

Standard library only: the menus and the memory estimate, which must not wait for torch, ask the same rules as the kernels.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from ..checkpoint.linear_spec import BITS, LinearSpec
from ..errors import GPTQError
from .cpu import library_cache

log = logging.getLogger('airoboros_gptq')

REMOVED_KERNELS = ('auto-gptq',)  # of earlier versions; saved settings and API clients may still name them
DTYPE_BYTES = {'float32': 4, 'float16': 2, 'bfloat16': 2}
INT4_GROUP_SIZES = (32, 64, 128, 256)
_ACTIVATION_BLOCKS = (128, 64, 32, 16, 8)
_BFLOAT16_FROM = (8, 0)  # capability of NVIDIA GPUs
_TILE_COLUMNS = 32  # native-cpu and triton pad out_features to a multiple of this


@dataclass(frozen=True)
class Target:
    """Where a linear is to run. `device_type` is torch's, as 'cpu' or 'cuda'; `capability` is that of an NVIDIA GPU, None
    where it is not known.
    """

    device_type: str
    capability: tuple[int, int] | None = None
    is_rocm: bool = False


def target_of(device: str) -> Target:
    """The target of a torch device, as 'cpu' or 'cuda:0'. GPUs are looked at only where torch is imported already."""
    device_type = device.partition(':')[0]
    torch = sys.modules.get('torch')
    if device_type == 'cuda' and torch is not None:
        with contextlib.suppress(Exception):  # a driver that fails; load() reports it
            if torch.version.hip:
                return Target(device_type, is_rocm=True)
            return Target(device_type, tuple(torch.cuda.get_device_capability(device)))
    return Target(device_type)


class KernelRule:
    """What is known of one kernel without importing it."""

    name: str
    min_capability = (0, 0)  # of NVIDIA GPUs

    def unsupported_reason(self, spec: LinearSpec, target: Target) -> str | None:
        """None where the kernel can run `spec` on `target`, else the reason why not, as half a sentence."""
        raise NotImplementedError

    def missing_requirement(self, target: Target) -> str | None:
        """What this machine lacks for the kernel, as half a sentence; None where it has all that can be seen from here."""
        return None

    def preferred_by_auto(self, target: Target) -> bool:
        """Whether `auto` takes the kernel where it can run."""
        return True

    def compute_dtype(self, device_type: str) -> str:
        """The dtype of a model whose user names none: the one in which the kernel is fastest."""
        return 'float32' if device_type == 'cpu' else 'float16'

    def weight_bytes(self, spec: LinearSpec, packed_bytes: int) -> int:
        """Bytes of one linear's weight as the kernel stores it; the file stores it in `packed_bytes`."""
        raise NotImplementedError

    def _gpu_too_old(self, target: Target) -> str | None:
        if target.capability is not None and target.capability < self.min_capability:
            return 'the GPU is older than sm{}{}'.format(*self.min_capability)
        return None


class NativeCpuRule(KernelRule):
    """C++ compiled on this machine (cpu/)."""

    name = 'native-cpu'

    def unsupported_reason(self, spec: LinearSpec, target: Target) -> str | None:
        if target.device_type != 'cpu':
            return f'it does not run on {target.device_type}'
        if spec.bits not in BITS:
            return _wrong_bits(spec)
        if self.activation_block(spec) is None:
            return 'it is for groups of one size, a multiple of 8, of which only the last may be shorter'
        return None

    def missing_requirement(self, target: Target) -> str | None:
        return library_cache.unsupported_reason()

    def compute_dtype(self, device_type: str) -> str:
        return 'bfloat16' if device_type == 'cpu' else 'float16'

    def weight_bytes(self, spec: LinearSpec, packed_bytes: int) -> int:
        return _tiled_bytes(spec, self.stored_bits(spec.bits), 3)  # of a group: an fp16 scale and a uint8 zero

    def stored_bits(self, bits: int) -> int:
        """The bits that a code of `bits` bits takes in the kernel's layout."""
        return 8 if bits == 8 else 4

    def activation_block(self, spec: LinearSpec) -> int | None:
        """Input features that share one scale of the quantised activations, all of one group; None where none fits."""
        if spec.irregular_groups or spec.in_features * spec.bits % 32 or spec.out_features * spec.bits % 32:
            return None
        return next((n for n in _ACTIVATION_BLOCKS if spec.group_size % n == 0 and spec.in_features % n == 0), None)


class TritonRule(KernelRule):
    """Triton (triton/): on NVIDIA GPUs, and on the CPU under Triton's interpreter, which tests use."""

    name = 'triton'
    min_capability = (7, 0)

    def unsupported_reason(self, spec: LinearSpec, target: Target) -> str | None:
        if target.device_type != 'cuda' and not is_interpreted():
            return f'it does not run on {target.device_type}'
        if spec.bits not in BITS:
            return _wrong_bits(spec)
        per_word = 32 // self.stored_bits(spec.bits)  # the codes of one word are all of one group
        if spec.irregular_groups or spec.group_size % per_word or spec.in_features % per_word:
            return f'it is for groups of one size, a multiple of {per_word}, and the file has another'
        return self._gpu_too_old(target)

    def missing_requirement(self, target: Target) -> str | None:
        if importlib.util.find_spec('triton') is not None:
            return None
        return 'Triton is not installed (pip install triton, or triton-windows on Windows)'

    def preferred_by_auto(self, target: Target) -> bool:
        return target.device_type == 'cuda'

    def weight_bytes(self, spec: LinearSpec, packed_bytes: int) -> int:
        return _tiled_bytes(spec, self.stored_bits(spec.bits), 2)  # an fp16 scale; zeros are rarely stored

    def stored_bits(self, bits: int) -> int:
        """The bits that a code of `bits` bits takes in the kernel's layouts."""
        return 4 if bits == 3 else bits


class TorchInt4Rule(KernelRule):
    """PyTorch's int4 matmul (torch_int4.py)."""

    name = 'torch-int4'
    min_capability = (8, 0)

    def unsupported_reason(self, spec: LinearSpec, target: Target) -> str | None:
        if spec.bits not in BITS:
            return _wrong_bits(spec)
        if spec.irregular_groups or spec.in_features % spec.group_size:
            return 'it is for groups of one size, and the file has a shorter one'
        if self.group_size(spec) is None:
            return f'it is for groups of 32, 64, 128 or 256, the file has {spec.group_size}'
        if target.device_type == 'cpu':
            return None if spec.out_features % 16 == 0 else 'out_features is not a multiple of 16'
        if target.device_type != 'cuda' or target.is_rocm:
            return f'it does not run on {"AMD GPUs" if target.is_rocm else target.device_type}'
        if spec.in_features % 128 or spec.out_features % 8:
            return 'the sizes are not multiples of 128 and 8'
        return self._gpu_too_old(target)

    def compute_dtype(self, device_type: str) -> str:
        return 'bfloat16'

    def weight_bytes(self, spec: LinearSpec, packed_bytes: int) -> int:
        columns = spec.out_features * (2 if spec.bits == 8 else 1)  # an 8-bit code is two of 4 bits
        groups = spec.in_features // (self.group_size(spec) or spec.group_size)
        order = 8 * spec.in_features if spec.desc_act else 0
        return spec.in_features * columns // 2 + groups * columns * 4 + order  # scale and zero, in bf16 each

    def group_size(self, spec: LinearSpec) -> int | None:
        """The largest group size of the op that divides the file's; None where there is none."""
        return next((size for size in reversed(INT4_GROUP_SIZES) if spec.group_size % size == 0), None)


class ReferenceRule(KernelRule):
    """Dequantise, then matmul (reference.py)."""

    name = 'reference'

    def unsupported_reason(self, spec: LinearSpec, target: Target) -> str | None:
        return None if spec.bits in BITS else f'{spec.bits}-bit is not a GPTQ width'

    def weight_bytes(self, spec: LinearSpec, packed_bytes: int) -> int:
        return packed_bytes


NATIVE_CPU, TRITON, TORCH_INT4, REFERENCE = NativeCpuRule(), TritonRule(), TorchInt4Rule(), ReferenceRule()
RULES: tuple[KernelRule, ...] = (NATIVE_CPU, TRITON, TORCH_INT4, REFERENCE)  # fastest first
KERNEL_NAMES = ('auto', *(rule.name for rule in RULES))  # what a user can choose


def rule_for(name: str, spec: LinearSpec, target: Target) -> KernelRule:
    """The rule of the kernel called `name`; for 'auto', of the kernel that is expected to run `spec` on `target`: whether
    the C++ compiles is known only once it has been tried. Raises GPTQError where there is no such kernel.
    """
    name = replace_removed(name)
    if name != 'auto':
        return rule_named(name)
    fits = (
        rule
        for rule in RULES
        if rule.preferred_by_auto(target)
        and rule.unsupported_reason(spec, target) is None
        and rule.missing_requirement(target) is None
    )
    return next(fits, REFERENCE)


def kernel_problem(name: str, specs: Iterable[LinearSpec], device: str) -> str | None:
    """The sentence with which loading would refuse the kernel called `name`, as far as it is known before torch is imported;
    None where there is nothing to refuse, as with 'auto'. Raises GPTQError where there is no such kernel.
    """
    if replace_removed(name) == 'auto':
        return None
    rule, target = rule_named(name), target_of(device)
    reasons = (rule.unsupported_reason(spec, target) or rule.missing_requirement(target) for spec in set(specs))
    return next((refusal(name, reason) for reason in reasons if reason), None)


def refusal(name: str, reason: str) -> str:
    """The sentence for a kernel that the user named and that cannot run; `reason` is half a sentence."""
    return f'The kernel {name} cannot run this model here: {reason}; choose auto.'


def default_dtype(rule: KernelRule, target: Target, configured: str | None) -> str:
    """The dtype of a model whose user names none: the one in which its kernel is fastest; on an NVIDIA GPU that has it, bfloat16
    where config.json names it, since what was trained in bfloat16 may leave the range of float16.
    """
    dtype = rule.compute_dtype(target.device_type)
    has_bfloat16 = not target.is_rocm and (target.capability is None or target.capability >= _BFLOAT16_FROM)
    if target.device_type == 'cuda' and dtype == 'float16' and configured == 'bfloat16' and has_bfloat16:
        return 'bfloat16'
    return dtype


def rule_named(name: str) -> KernelRule:
    """Raises GPTQError where there is no kernel of that name."""
    for rule in RULES:
        if rule.name == name:
            return rule
    raise GPTQError(f'There is no kernel {name}; choose one of {", ".join(KERNEL_NAMES)}.')


def replace_removed(name: str) -> str:
    """A kernel's name; 'auto' for a kernel of an earlier version."""
    return 'auto' if name in REMOVED_KERNELS else name


def resolve_kernel_name(name: str) -> str:
    """replace_removed(), with a line in the log where it changes the name."""
    resolved = replace_removed(name)
    if resolved != name:
        log.warning('The kernel %s was removed; auto is used instead.', name)
    return resolved


def is_interpreted() -> bool:
    """Whether Triton runs kernels as Python, for tests."""
    return os.environ.get('TRITON_INTERPRET') == '1'


def _wrong_bits(spec: LinearSpec) -> str:
    return f'it is for 2, 3, 4 and 8 bits, the file has {spec.bits}'


def _tiled_bytes(spec: LinearSpec, stored_bits: int, group_bytes: int) -> int:
    """Codes and groups in whole tiles of columns, and with act-order the int32 order of the rows."""
    columns = -(-spec.out_features // _TILE_COLUMNS) * _TILE_COLUMNS
    groups = -(-spec.in_features // spec.group_size)
    per_column = spec.in_features * stored_bits // 8 + group_bytes * groups
    return columns * per_column + (4 * spec.in_features if spec.desc_act else 0)
