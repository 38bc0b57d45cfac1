"""Sizes in words."""

from __future__ import annotations


def format_bytes(count: int) -> str:
    """Bytes as people write them: 2.48 MB, 4.52 GB."""
    for unit, size in (('GB', 1e9), ('MB', 1e6), ('kB', 1e3)):
        if count >= size:
            return f'{count / size:.2f} {unit}'
    return f'{count} B'
