"""Folders damaged at random end in one sentence or in a model that is right: never in a hang, a crash or a silently wrong
model. Those that once found a fault, and as many more as fit in 15 seconds; AIROBOROS_CORRUPTIONS=3000 tries so many.
tools/corruptions.py says what is damaged.
"""

import json
import os
import subprocess
import sys

import pytest
from support import EXTENSIONS, ROOT

COUNT = int(os.environ.get('AIROBOROS_CORRUPTIONS', '0'))
SECONDS = 15
SEED = os.environ.get('AIROBOROS_CORRUPTIONS_SEED', 'kept')


def test_damaged_folders(capsys):
    # A process of its own: what hangs or crashes must not take the other tests along. It ends itself where one case
    # takes too long, and says where that was.
    count, seconds = (COUNT, 3600) if COUNT else (10**6, SECONDS)
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / 'corrupt.py'), str(count), str(seconds), SEED],
        env={**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'HF_HUB_OFFLINE': '1', 'PYTHONPATH': str(EXTENSIONS)},
        capture_output=True,
        encoding='utf-8',
        timeout=seconds + 300,
    )
    assert done.returncode == 0, f'a hang or a crash:\n{done.stderr[-4000:]}'
    found = json.loads(done.stdout.splitlines()[-1])
    with capsys.disabled():
        print(f'\n{sum(found["tally"].values())} damaged folders: {found["tally"]}')
    if found['faults']:
        pytest.fail('\n'.join(found['faults']), pytrace=False)
    assert found['tally'].get('refused') and found['tally'].get('loaded'), found
