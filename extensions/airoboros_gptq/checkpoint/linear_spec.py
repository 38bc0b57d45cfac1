"""What one quantised linear is. Standard library alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LinearSpec:
    """What decides whether a kernel can run one quantised linear. `desc_act` is what its g_idx shows."""

    in_features: int
    out_features: int
    bits: int
    group_size: int  # rows of one group; in_features where the config says -1
    desc_act: bool
    checkpoint_format: str = 'gptq'
    irregular_groups: bool = False  # a group holds fewer rows than others, and is not the last of a sequence
