"""Says why linears run with a kernel that is not the fastest of their device. Standard library only, as rules.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from ..checkpoint.linear_spec import LinearSpec
from .rules import REFERENCE, RULES, TRITON, KernelRule, Target, rule_for, target_of

WhyNot = Callable[[KernelRule, LinearSpec], str | None]


def slow_kernel_notes(specs: Iterable[LinearSpec], device: str) -> list[str]:
    """A sentence for each kind of linears that the kernel 'auto' is expected to run slowly on `device`, as 'cuda:0'; none where
    all run with the fastest. `specs` has one entry for each linear.
    """
    target = target_of(device)

    def why_not(rule: KernelRule, spec: LinearSpec) -> str | None:
        return rule.unsupported_reason(spec, target) or rule.missing_requirement(target)

    linears = [(spec, rule_for('auto', spec, target)) for spec in specs]
    return describe_slow_kernels(linears, target, why_not)


def describe_slow_kernels(
    linears: Iterable[tuple[LinearSpec, KernelRule]], target: Target, why_not: WhyNot
) -> list[str]:
    """slow_kernel_notes() for linears whose kernels are known; `why_not` says why a kernel cannot run one, as half a sentence."""
    counts: Counter[tuple[str, str]] = Counter()
    why: dict[tuple[LinearSpec, KernelRule], str] = {}
    for linear in linears:
        spec, rule = linear
        if rule is REFERENCE or (target.device_type == 'cuda' and rule is not TRITON):
            if linear not in why:
                why[linear] = _reasons(spec, rule, target, why_not)
            counts[rule.name, why[linear]] += 1
    return [
        f'{count} {"linear runs" if count == 1 else "linears run"} with the kernel {name}, which is '
        f'{"slow" if name == REFERENCE.name else "slower than triton"}: {reasons}.'
        for (name, reasons), count in counts.items()
    ]


def _reasons(spec: LinearSpec, taken: KernelRule, target: Target, why_not: WhyNot) -> str:
    """Why each faster kernel for this kind of device cannot run a linear, as one half sentence."""
    found = []
    for rule in RULES[: RULES.index(taken)]:
        if rule.preferred_by_auto(target):
            reason = why_not(rule, spec)
            if reason is not None and not reason.startswith('it does not run on'):
                found.append(f'{rule.name} cannot ({reason})')
    return ' and '.join(found) or f'no faster kernel runs on {"AMD GPUs" if target.is_rocm else target.device_type}'
