"""Qwen3-MoE and Qwen3.5 at small width, with a chat template of their own: the shapes that people run most beside LLaMA's."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from . import server as webui_server
from .conftest import MODEL, WEBUI
from .server import ROOT

TYPES = ('qwen3_moe', 'qwen3_5', 'qwen3_5_moe')
QUESTION = 'Name the capital of Japan.'
_TEMPLATE = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}[assistant] "
# Run by the webui's Python: makes those that its transformers has, as many words as the tiny model's tokenizer knows.
_MAKE = """
import sys
from pathlib import Path
from made_models import make
from small_configs import CAUSAL, SEEING, build, has
for kind in filter(has, sys.argv[2:]):
    text = (CAUSAL | SEEING)[kind][1].get('text_config')
    words = {'vocab_size': 1024}
    make(Path(sys.argv[1]) / kind, build(kind, **({'text_config': text | words} if text else words)))
"""


@pytest.fixture
def made(server, tmp_path):
    """Folders of small GPTQ models among the webui's, one for each of TYPES that its transformers has."""
    python = webui_server.python_of(Path(WEBUI))
    paths = f'{ROOT / "tests" / "helpers"}:{ROOT / "extensions"}'
    environment = webui_server.environment() | {'PYTHONPATH': paths}
    done = subprocess.run([python, '-c', _MAKE, tmp_path, *TYPES], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folders = []
    for path in sorted(tmp_path.glob('*/gptq')):
        settings = path / 'tokenizer_config.json'
        settings.write_text(json.dumps(json.loads(settings.read_text()) | {'chat_template': _TEMPLATE}))
        folders.append(shutil.copytree(path, server.data / 'models' / f'small-{path.parent.name}-GPTQ-Int4'))
    yield folders
    for folder in folders:
        shutil.rmtree(folder)


def set_max_new_tokens(page, value):
    page.tab('Parameters')
    page.page.get_by_label('max_new_tokens').first.fill(str(value))
    page.page.get_by_label('auto_max_new_tokens').set_checked(False)
    page.idle()


def test_qwen_s_newer_shapes_load_and_chat_by_their_own_template(page, server, made):
    if not made:
        pytest.skip('the transformers of this webui has none of these types')
    set_max_new_tokens(page, 8)
    page.refresh_models()
    for folder in made:
        page.choose_model(folder.name)
        expect(page.dropdown('Model loader')).to_have_value('airoboros-GPTQ')
        page.load()
        assert page.facts()['running']
        before = len(server.log())
        page.new_chat()
        expect(page.chat(QUESTION)).not_to_be_empty()
        expect(page.answers).to_have_count(1)
        assert f'[user] {QUESTION}\n[assistant] ' in server.log()[before:]
        page.shot(folder.name)
    set_max_new_tokens(page, 512)
    page.load(MODEL)
