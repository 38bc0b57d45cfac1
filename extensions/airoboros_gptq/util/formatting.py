"""Sizes in words."""

from __future__ import annotations


def format_bytes(count: int) -> str:
    """Bytes as people write them: 2.48 MB, 4.52 GB."""
    for unit, size in (('GB', 1e9), ('MB', 1e6), ('kB', 1e3)):
        if count >= size:
            return f'{count / size:.2f} {unit}'
    return f'{count} B'


def round_bytes(count: int) -> str:
    """The same in three digits, for what is estimated or changes: 10.8 MB, 640 MB, 4.52 GB."""
    for unit, size in (('GB', 1e9), ('MB', 1e6), ('kB', 1e3)):
        if count >= 0.9995 * size:
            digits = next(
                digits for digits in (2, 1, 0) if digits == 0 or round(count / size, digits) < 10 ** (3 - digits)
            )
            return f'{count / size:.{digits}f} {unit}'
    return f'{count} B'
