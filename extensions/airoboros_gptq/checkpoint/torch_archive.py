"""The zip archive that torch.save writes, as far as it must be looked at before torch opens it. Standard library alone.

torch unpacks a compressed entry whole, and 3 MB can be 6 GB. It never writes one: tensors are to be mapped.
"""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from ..errors import GPTQError
from ..util.regular_file import open_regular

_END, _LOCATOR, _END64 = b'PK\x05\x06', b'PK\x06\x07', b'PK\x06\x06'
_END_SIZE, _LOCATOR_SIZE = 22, 20
_MAX_COMMENT = 65_535
_MAX_DIRECTORY = 16_000_000  # bytes; about 100 a tensor


def check_archive(path: Path) -> int:
    """The file's size in bytes. Raises GPTQError for a file that torch.save did not write, or not to its end."""
    with open_regular(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            directory = _directory_size(file, size) if start.startswith(b'PK') else None
            if directory is None:
                raise GPTQError(f'{path} {_fault(start)}')
            if directory > _MAX_DIRECTORY:
                raise GPTQError(f'{path} has an index of {directory} bytes, as no model has; download it again.')
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                packed = next((i for i in archive.infolist() if i.compress_type != zipfile.ZIP_STORED), None)
        except OSError as e:
            raise GPTQError(f'{path} cannot be read ({e.strerror}); check the file and its permissions.') from e
        except (zipfile.BadZipFile, NotImplementedError, ValueError, RuntimeError, struct.error) as e:
            raise GPTQError(f'{path} is not a whole file of PyTorch; download it again.') from e
    if packed is not None:
        raise GPTQError(f'{path} holds {packed.filename} compressed, as PyTorch never writes it; download it again.')
    return size


def _fault(start: bytes) -> str:
    if start.startswith(b'version '):
        return 'is a Git LFS pointer, not the model itself; download the file again.'
    if start.startswith(b'PK'):
        return 'has no end: the download was interrupted; download it again.'
    if start.startswith(b'\x80'):
        return 'is of a PyTorch before 1.6, and cannot be mapped; save it again, as safetensors, with a newer one.'
    return 'is not a file of PyTorch; download it again.'


def _directory_size(file: BinaryIO, size: int) -> int | None:
    """Bytes of an archive's central directory, by its end record (PKWARE's APPNOTE, 4.3.14 to 4.3.16); None without one."""
    begin = max(0, size - _END_SIZE - _MAX_COMMENT - _LOCATOR_SIZE)
    file.seek(begin)
    tail = file.read(size - begin)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        return None
    directory: int = struct.unpack_from('<I', tail, at + 12)[0]
    locator = at - _LOCATOR_SIZE
    if locator >= 0 and tail[locator:].startswith(_LOCATOR):
        file.seek(struct.unpack_from('<Q', tail, locator + 8)[0])
        record = file.read(56)
        if record.startswith(_END64) and len(record) == 56:
            directory = struct.unpack_from('<Q', record, 40)[0]
    return directory
