"""Which Airoboros a folder holds: by its name, its config and its card."""

import os
import time

import pytest
from airoboros_gptq.airoboros.conversation import conversation_prompt
from airoboros_gptq.airoboros.versions import detect_version
from airoboros_gptq.preflight.folder_summary import read_summary
from support import PLAIN, copy_tiny, edit_json

NAMES = [
    # folder, version, template, spaces before PLAINFORMAT
    ('airoboros-13b-gpt4-GPTQ', '1.0', 'v1.0', None),
    ('TheBloke_airoboros-7b-gpt4-GPTQ_gptq-4bit-128g-actorder_True', '1.0', 'v1.0', None),
    ('airoboros-65B-gpt4-4.0bpw-h6-exl2', '1.0', 'v1.0', None),
    ('airoboros-33b-gpt4-1.1-4bit-32g', '1.1', 'v1.0', None),
    ('airoboros-7B-gpt4-1.2-GPTQ', '1.2', 'v1.2', 2),
    ('airoboros-tiny-gpt4-1.2-GPTQ', '1.2', 'v1.2', 2),
    ('airoboros-7b-gpt4_1.2_4bit_128g', '1.2', 'v1.2', 2),
    ('TheBloke_airoboros-33B-gpt4-1.3-GPTQ', '1.3', 'v1.2', 1),
    ('TheBloke_airoboros-13b-gpt4-1.4-GPTQ', '1.4', 'v1.4', 1),
    ('airoboros-33B-gpt4-1-4-SuperHOT-8K-GPTQ', '1.4', 'v1.4', 1),
    ('airoboros-mpt-30b-gpt4-1p4-five-epochs', '1.4', 'v1.4', 1),
    ('airoboros-l2-70B-gpt4-1.4.1', '1.4.1', 'v1.4', 1),
    ('airoboros-33b-gpt4-1.4.1-lxctx-PI-16384-GPTQ', '1.4.1', 'v1.4', 1),
    ('airoboros-l2-13b-gpt4-2.0-GPTQ', '2.0', 'v1.4', 1),
    ('airoboros-l2-7B-gpt4-m2.0-GPTQ', '2.0', 'v1.4', 1),
    ('airoboros-l2-13b-2.1', '2.1', 'v2.1', 1),
    ('airoboros-c34b-2.1', '2.1', 'v2.1', 1),
    ('spicyboros-13b-2.2', '2.2', 'v2.2', 1),
    ('TheBloke_Spicyboros-c34b-2.2-GPTQ', '2.2', 'v2.2', 1),
    ('Airoboros-L2-70b-2.2.1-GPTQ', '2.2.1', 'v2.2', 1),
    ('airoboros-3b-3p0', '3.0', 'v3.0', 1),
    ('airoboros-l2-70b-3.1-3.0bpw-h6', '3.1', 'v3.1', 1),
    ('airoboros-3_1-yi-34b-200k', '3.1', 'v3.1', 1),
    ('Airoboros-M-7B-3.1.1', '3.1.1', 'v3.0', 1),
    ('Airoboros-M-7B-3.1.2', '3.1.2', 'v3.0', 1),
]


@pytest.mark.parametrize(('name', 'version', 'template', 'spaces'), NAMES, ids=lambda value: str(value))
@pytest.mark.parametrize('place', ['folder', 'config', 'hub cache', 'card title', 'card base_model'])
def test_every_spelling_wherever_it_stands(tmp_path, place, name, version, template, spaces):
    folder, claimed = tmp_path / 'my model', ''
    if place == 'folder':
        folder = tmp_path / name
    elif place == 'hub cache':
        folder = tmp_path / f'models--TheBloke--{name}' / 'snapshots' / '0f3c9a1b'
    elif place == 'config':
        claimed = f'jondurbin/{name}'
    folder.mkdir(parents=True)
    card = {
        'card title': f"---\nlicense: other\n---\n\n# Jon Durbin's {name.replace('-', ' ')}\n",
        'card base_model': f'---\nbase_model:\n- jondurbin/{name}\n---\n',
    }.get(place, '')
    (folder / 'README.md').write_text(card, encoding='utf-8')
    found = detect_version(folder, claimed)
    assert (found.version, found.format.template) == (version, f'Airoboros-{template}')
    assert (found.plainformat_spaces, found.known) == (spaces, True)


def test_the_sentence_says_where_it_was_read(tmp_path):
    assert detect_version(tmp_path / 'airoboros-13b-gpt4-1.4').reason == "version 1.4, from the folder's name"
    claimed = detect_version(tmp_path / 'renamed', 'jondurbin/airoboros-13b-gpt4-1.4/')
    assert claimed.reason == 'version 1.4, from _name_or_path in config.json'


def test_the_folder_s_name_goes_first_and_a_number_before_a_bare_gpt4(tmp_path):
    assert detect_version(tmp_path / 'airoboros-7b-gpt4-1.3', 'jondurbin/airoboros-7b-gpt4-1.2').version == '1.3'
    assert detect_version(tmp_path / 'airoboros-7b-gpt4', 'jondurbin/airoboros-7b-gpt4-1.2').version == '1.2'


def test_others_are_not_airoboros_even_if_their_card_speaks_of_it(tmp_path):
    assert detect_version(tmp_path / 'TheBloke_Llama-2-7B-GPTQ', 'meta-llama/Llama-2-7b') is None
    folder = tmp_path / 'mine'
    folder.mkdir()
    (folder / 'README.md').write_text(
        '---\ndatasets:\n- jondurbin/airoboros-2.1\nmodel_name: Hermes 13B\n---\n# Hermes 13B\nBetter than airoboros-2.1.\n'
    )
    assert detect_version(folder) is None


def test_what_stands_before_the_name_is_another_model_s(tmp_path):
    assert detect_version(tmp_path / 'llama-2.1-airoboros-13b-gpt4-1.3').version == '1.3'


def test_the_card_s_data_tell_the_version_of_an_airoboros_without_a_number(tmp_path):
    folder = tmp_path / 'airoboros-13b-mine'
    folder.mkdir()
    assert detect_version(folder).version == ''
    (folder / 'README.md').write_text('---\ndatasets:\n- jondurbin/airoboros-gpt4-1.4\n---\n')
    assert detect_version(folder).reason == 'version 1.4, from the data that the model card names'


@pytest.mark.parametrize('content', [b'\xff\xfe\x00', b'', b'# ' + b'airoboros ' * 20_000])
def test_a_strange_card_does_no_harm(tmp_path, content):
    folder = tmp_path / 'airoboros-7b-gpt4-1.2'
    folder.mkdir()
    (folder / 'README.md').write_bytes(content)
    assert detect_version(folder).version == '1.2'


def test_an_unknown_version_is_taken_for_the_newest_before_it_and_says_so(tmp_path):
    for name, template in (('1.9', 'v1.4'), ('2.3', 'v2.2'), ('3.3', 'v3.0'), ('0.9', 'v1.0')):
        found = detect_version(tmp_path / f'airoboros-70b-{name}')
        assert (found.format.template, found.known) == (f'Airoboros-{template}', False)
        assert found.reason == (
            f"version {name}, from the folder's name; not known here, taken for {template.removeprefix('v')}"
        )
    unnamed = detect_version(tmp_path / 'airoboros-13b-GPTQ')
    assert (unnamed.format.template, unnamed.reason) == ('Airoboros-v1.2', 'no version is named; taken for 1.2')


class Tokenizer:
    chat_template = 'a template'

    def apply_chat_template(self, messages, **how):
        return 'by the tokenizer'


def test_a_tokenizer_s_template_is_for_what_is_not_known_here(tmp_path):
    """airoboros-70b-3.3 is a Llama-3 and brings that template."""
    prompts = {
        name: conversation_prompt(Tokenizer(), [('Hi', None)], '', detect_version(tmp_path / name))
        for name in ('airoboros-70b-3.3', 'airoboros-l2-13b-3.1.2', 'airoboros-13b', 'llama')
    }
    assert prompts['airoboros-70b-3.3'] == prompts['llama'] == 'by the tokenizer'
    assert prompts['airoboros-l2-13b-3.1.2'].startswith('[INST] <<SYS>>')
    assert prompts['airoboros-13b'].endswith('USER: Hi ASSISTANT: ')


def test_the_facts_name_format_and_version(tmp_path):
    read = read_summary(copy_tiny(tmp_path / 'airoboros-13b-gpt4-1.4-GPTQ', PLAIN))
    (line,) = [f for f in read.lines if f.name == 'prompt format']
    assert (line.value, line.source) == ('Airoboros-v1.4', "version 1.4, from the folder's name")
    other = copy_tiny(tmp_path / 'some-llama', PLAIN)
    edit_json(other / 'config.json', _name_or_path='meta/llama')
    assert not [f for f in read_summary(other).lines if f.name == 'prompt format']


def test_a_card_of_newlines_is_read_in_linear_time(tmp_path):
    """65 KB of them once took 6 s at each of several reads."""
    folder = tmp_path / 'some-model'
    folder.mkdir()
    start = time.process_time()
    for card in ('base_model:' + '\n' * 65_000, '# ' + '\t' * 65_000, 'model_name' + ' ' * 65_000, '- ' * 32_000):
        (folder / 'README.md').write_text(card)
        detect_version(folder)
    assert time.process_time() - start < 0.5


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no FIFOs here')
def test_a_card_that_is_a_pipe_is_not_waited_for(tmp_path):
    folder = tmp_path / 'airoboros-7b-gpt4-1.4'
    folder.mkdir()
    os.mkfifo(folder / 'README.md')
    assert detect_version(folder).version == '1.4'
