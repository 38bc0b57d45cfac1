"""What a g_idx shows of a quantised linear: act-order, and the size of its groups. Standard library alone."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby


@dataclass(frozen=True)
class GroupIndex:
    """A g_idx [in_features], which names the group of each row, in a few numbers: it is read once and let go.

    `is_sequential` is how files without act-order have it: row k is in group k // largest_group. `has_gap` is for zeros in a row
    that are more than any other group has, as where a file was filled in part; groups in order that leave none out have none.
    """

    lowest: int
    highest: int
    largest_group: int  # rows
    is_sorted: bool
    is_sequential: bool
    has_gap: bool = False

    @property
    def is_zero(self) -> bool:
        """All zeros say nothing: some files hold such for linears of many groups."""
        return self.lowest == self.highest == 0


def describe_group_index(values: array[int]) -> GroupIndex:
    """The GroupIndex of the values of a g_idx. An empty one is like one of zeros."""
    in_order = sorted(values)  # this and the rest at the speed of C, as a loop over 11,008 rows is not
    sizes = Counter(values)
    largest = max(sizes.values(), default=0)
    is_sequential = values == sequential_index(len(values), largest)
    zeros = sizes.pop(0, 0)
    others = max(sizes.values(), default=0)
    is_sorted = values.tolist() == in_order
    is_whole = is_sequential or (is_sorted and (not zeros or 1 in sizes))
    return GroupIndex(
        lowest=in_order[0] if in_order else 0,
        highest=in_order[-1] if in_order else 0,
        largest_group=largest,
        is_sorted=is_sorted,
        is_sequential=is_sequential,
        has_gap=not is_whole and zeros > others and _longest_zero_run(values) > others,
    )


def _longest_zero_run(values: array[int]) -> int:
    return max((sum(1 for _ in run) for value, run in groupby(values) if value == 0), default=0)


@lru_cache
def sequential_index(in_features: int, group_size: int) -> array[int]:
    """The g_idx of a linear without act-order."""
    return array('i', (k // group_size for k in range(in_features)))
