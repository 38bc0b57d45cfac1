"""From what a user names, a folder or a Hugging Face repository, to a folder on disk."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

from ..errors import GPTQError, quote_error

_REPOSITORY = re.compile(r'[\w.-]+/[\w.-]+')
_WANTED = ('*.json', '*.safetensors', '*.jinja', 'README.md')
# Vocabularies as the tokenizers of transformers name them, and those of code that comes with a model (qwen.tiktoken).
_VOCABULARIES = (
    *('*.model', 'tokenizer.model*', '*.tiktoken', '*.spm', '*.tokenizer', '*.bpe', '*.codes'),
    *('vocab.txt', 'merges.txt', 'dict.txt'),
)
_CODE = ('*.py',)  # only where it is trusted
_PICKLES = ('*.bin', '*.pt')  # only where there are no safetensors


def resolve_folder(
    path: str | os.PathLike[str],
    revision: str | None = None,
    trust_remote_code: bool = False,
    subfolder: str = '',
    **hub_options: Any,
) -> Path:
    """The folder at `path`; a repository name such as TheBloke/airoboros-7B-gpt4-1.2-GPTQ is downloaded, or found in
    the Hugging Face cache. Code is fetched only with `trust_remote_code`, and of a `subfolder` nothing beside it.
    `hub_options` are snapshot_download()'s. Raises GPTQError where there is neither.
    """
    folder = _resolve(path, revision, trust_remote_code, subfolder, hub_options)
    if not subfolder:
        return folder
    inner = (folder / subfolder).resolve()
    if not inner.is_relative_to(folder.resolve()) or not inner.is_dir():
        raise GPTQError(f'{path} has no folder {subfolder}; check the subfolder.')
    return folder / subfolder


def _resolve(
    path: str | os.PathLike[str],
    revision: str | None,
    trust_remote_code: bool,
    subfolder: str,
    hub_options: dict[str, Any],
) -> Path:
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

        def fetch(patterns: tuple[str, ...]) -> Path:
            below = [f'{subfolder.rstrip("/")}/{p}' if subfolder else p for p in patterns]
            return Path(snapshot_download(str(path), revision=revision, allow_patterns=below, **hub_options))

        folder = fetch((*_WANTED, *_VOCABULARIES, *(_CODE if trust_remote_code else ())))
        if not any((folder / subfolder).glob('*.safetensors')):
            fetch(_PICKLES)
        return folder
    except Exception as e:  # the hub's errors are many and change by version
        if getattr(e, 'errno', None) == errno.ENOSPC:
            raise GPTQError(
                f'The disk is full: {path} could not be downloaded whole; free some space, or set HF_HOME to a larger disk.'
            ) from e
        raise GPTQError(f'{path} is neither a folder here nor to be had from Hugging Face ({quote_error(e)}).') from e
