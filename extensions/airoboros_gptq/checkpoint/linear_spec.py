"""What one quantised linear is. Standard library alone.

Its tensors, with in_features K, out_features N, bits b and G groups: `qweight` int32 [K*b/32, N], `qzeros` int32
[G, N*b/32], `scales` float [G, N], and perhaps `g_idx` int32 [K] and `bias` float [N].
"""

from __future__ import annotations

from dataclasses import dataclass

BITS = (2, 3, 4, 8)  # the widths that GPTQ's quantisers write
TENSOR_PARTS = ('qweight', 'qzeros', 'scales', 'g_idx', 'bias')


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
