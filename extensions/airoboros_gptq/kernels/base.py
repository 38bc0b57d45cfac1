"""The interface of a kernel. A new one is a module or a folder beside this file, a rule in rules.py and a line in registry.py."""

from __future__ import annotations

import torch
from torch import nn

from ..checkpoint.linear_spec import LinearSpec
from .packing import PackedLinear
from .rules import KernelRule, target_of


class Kernel(nn.Module):
    """Multiplies by one quantised weight [K, N]. Built once at load from the packed tensors, which it may then drop.

    A subclass sets `rule` and `name`, which is the rule's, and implements `repack` and `forward`.
    """

    rule: KernelRule
    name: str

    @classmethod
    def unsupported_reason(cls, spec: LinearSpec, device: torch.device) -> str | None:
        """None where this kernel can run `spec` on `device`, else the reason why not, as half a sentence."""
        return cls.rule.unsupported_reason(spec, target_of(str(device))) or cls.missing_requirement(device)

    @classmethod
    def missing_requirement(cls, device: torch.device) -> str | None:
        """What this machine lacks for the kernel; a kernel may look closer than its rule, which does without torch."""
        return cls.rule.missing_requirement(target_of(str(device)))

    @classmethod
    def compute_dtype(cls, device: torch.device) -> torch.dtype:
        """The dtype of activations in which this kernel is fastest on `device`."""
        return getattr(torch, cls.rule.compute_dtype(device.type))

    def __init__(self, packed: PackedLinear, spec: LinearSpec, **options):
        """`packed` lies on the device where the kernel is to run; `options` are those of repack()."""
        super().__init__()
        self.spec = spec
        for name, tensor in self.repack(packed, **options).items():
            self.register_buffer(name, tensor, persistent=False)

    def repack(self, packed: PackedLinear) -> dict[str, torch.Tensor | None]:
        """The tensors that the kernel keeps, by name, on the device of `packed`. self.spec is set."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [M, K] to [M, N], same dtype. GPTQLinear adds the bias."""
        raise NotImplementedError

    def _apply(self, fn, recurse=True):
        """Moves tensors with the model, but keeps their dtypes. A model is cast for its activations' sake, as the webui does
        with `half()` before it adds a LoRA; the layout's dtypes are those that the op reads.
        """
        before = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, old in before.items():
            moved = getattr(self, name)
            if moved is not None and moved.dtype != old.dtype:
                setattr(self, name, old.to(moved.device))
        return self
