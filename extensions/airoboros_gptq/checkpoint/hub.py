"""From what a user names, a folder or a Hugging Face repository, to a folder on disk."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from ..errors import GPTQError, quote_error

_REPOSITORY = re.compile(r'[\w.-]+/[\w.-]+')
_WANTED = ('*.json', '*.safetensors', 'tokenizer.model', '*.jinja', 'README.md')
_PICKLES = ('*.bin', '*.pt')  # only where there are no safetensors


def resolve_folder(path: str | os.PathLike[str], revision: str | None = None) -> Path:
    """The folder at `path`; a repository name such as TheBloke/airoboros-7B-gpt4-1.2-GPTQ is downloaded, or found in
    the Hugging Face cache. Raises GPTQError where there is neither.
    """
    try:
        folder = Path(path).expanduser()
        if folder.is_dir():
            return folder
        if folder.is_file():
            raise GPTQError(f'{folder} is a file; name the folder that holds the model.')
        if folder.is_symlink():
            raise GPTQError(f'{folder} is a symbolic link that leads to no folder; correct the link or the path.')
    except (OSError, RuntimeError) as e:  # a parent that may not be read, a name too long, the home of nobody
        raise GPTQError(f'{path} cannot be read ({getattr(e, "strerror", None) or e}); check the path.') from e
    if not _REPOSITORY.fullmatch(str(path)):
        raise GPTQError(f'{folder} does not exist; check the path.')
    try:
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(str(path), revision=revision, allow_patterns=list(_WANTED)))
        if not any(folder.glob('*.safetensors')):
            snapshot_download(str(path), revision=revision, allow_patterns=list(_PICKLES))
        return folder
    except Exception as e:  # the hub's errors are many and change by version
        if getattr(e, 'errno', None) == errno.ENOSPC:
            raise GPTQError(
                f'The disk is full: {path} could not be downloaded whole; free some space, or set HF_HOME to a larger disk.'
            ) from e
        raise GPTQError(f'{path} is neither a folder here nor to be had from Hugging Face ({quote_error(e)}).') from e
