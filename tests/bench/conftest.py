"""One run of all lengths, which several files look at."""

import json

import pytest
from airoboros_gptq import cli
from support import TINY


@pytest.fixture(scope='session')
def report(tmp_path_factory):
    """One run of all lengths on the tiny Airoboros."""
    file = tmp_path_factory.mktemp('bench') / 'tiny.json'
    picture = file.with_suffix('.svg')
    assert cli.main(['bench', str(TINY), '--device', 'cpu', '--json', str(file), '--plot', str(picture)]) == 0
    return json.loads(file.read_text()), picture
