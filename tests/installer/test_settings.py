"""settings.yaml and config-user.yaml: the extension goes in and out, all else stays as it was written."""

import base64
import contextlib
import json
import time

import pytest
import yaml
from install_helpers import NAME, Webui, put, run, snapshot

from installer import InstallError, compare_yaml, saved_settings
from installer.install import install
from installer.manifest import encode
from installer.settings_yaml import add_entry, is_simple, remove_entry
from installer.uninstall import uninstall
from installer.webui_tree import Webui as WebuiTree

SETTINGS = [
    '',
    '# mine\n',
    'seed: 1\n',
    'seed: 1',
    '---\nseed: 1\n',
    '# mine\n---\nseed: 1\n',
    'default_extensions:\n- gallery\n',
    'default_extensions:\n- gallery\n- "b"  # why\n# end',
    'default_extensions:\n- gallery\n- my extension',
    'default_extensions:\n  - gallery\n  # between\n\n  - b\nseed: 2  # s\n',
    'seed: 1\ndefault_extensions: [a, "b"]  # c\nname1: You',
    'default_extensions: []',
    'default_extensions: [ ]\n',
    'default_extensions: [a, ]\n',
    '"default_extensions": [\n  a,\n  b\n]\nseed: 1\n',
    'default_extensions:\nseed: 1\n',
    'default_extensions:',
    'default_extensions: # none\nseed: 1\n',
    'default_extensions: null  # c\nseed: 1\n',
    'default_extensions: ~',
    'default_extensions:\n- airoboros_gptq_of_another\n',
    '\ufeffseed: 1\ndefault_extensions: [a]\n',
    "context: 'one\n\n  default_extensions: no\n\n  two'\ndefault_extensions:\n- a\nlast: |\n  - b\n",
    f'default_extensions:\n- {NAME}\n- a\n',
    f"default_extensions: [a, '{NAME}']",
]


@pytest.fixture
def in_process(monkeypatch):
    """Files are compared here, not in a process of their own."""

    def compare(webui, python, before, after, change, *names):
        return compare_yaml.compare(encode(before), encode(after), change, list(names))

    monkeypatch.setattr(saved_settings, '_compare', compare)


@pytest.mark.parametrize('eol', ['\n', '\r\n'], ids=['lf', 'crlf'])
@pytest.mark.parametrize('text', SETTINGS, ids=repr)
def test_enable_adds_one_entry_and_uninstall_gives_the_bytes_back(from_source, in_process, tmp_path, text, eol):
    webui = Webui(tmp_path / 'webui', 'v2.1', "['gallery']")
    put(webui.settings, text.replace('\n', eol))
    before, old = snapshot(webui.root), yaml.safe_load(webui.settings.read_bytes()) or {}
    expected = old['default_extensions'] or [] if 'default_extensions' in old else ['gallery']
    assert install(WebuiTree(webui.root), enable=True) is None
    data = webui.settings.read_bytes()
    assert yaml.safe_load(data) == {**old, 'default_extensions': [*expected, *([NAME] * (NAME not in expected))]}
    if '\n' in text:
        assert (b'\n' in data.replace(b'\r\n', b'')) is (eol == '\n')
    if text and 'default_extensions' not in old:
        assert data.endswith(b'\n') == text.endswith('\n')
    # Every line of theirs is still there, as it was, but for one that the entry had to go into.
    lost = set(text.split('\n')) - {'', *data.decode().split(eol)}
    assert len(lost) <= 1 and all(']' in line or ':' in line or line == '  b' for line in lost)
    uninstall(WebuiTree(webui.root))
    expected = {**before, 'settings.yaml': remove_entry(before['settings.yaml'], None)}
    assert snapshot(webui.root) == (before if NAME not in (old.get('default_extensions') or []) else expected)


@pytest.mark.parametrize('text', SETTINGS[:-2], ids=repr)
def test_uninstall_after_the_webui_wrote_settings_takes_out_our_entry_alone(from_source, in_process, tmp_path, text):
    webui = Webui(tmp_path / 'webui', 'v2.1', "['gallery']")
    put(webui.settings, text)
    old = yaml.safe_load(webui.settings.read_bytes()) or {}
    install(WebuiTree(webui.root), enable=True)
    saved = {**yaml.safe_load(webui.settings.read_bytes()), 'preset': 'Airoboros', 'mode': 'chat'}
    webui.settings.write_text(yaml.dump(saved, sort_keys=False))
    uninstall(WebuiTree(webui.root))
    expected = {**old, 'mode': 'chat'}
    if 'default_extensions' in old:
        expected['default_extensions'] = old['default_extensions'] or []
    assert yaml.safe_load(webui.settings.read_bytes()) == expected


@pytest.mark.parametrize(
    'text',
    [
        'default_extensions: gallery\n',
        'default_extensions: {a: 1}\n',
        'default_extensions: &all [a]\n',
        'default_extensions: [a, [b]]\n',
        'default_extensions: [a\n',
        'default_extensions:\n  a: 1\n',
        'default_extensions:\n- - a\n',
        'default_extensions:\n- {a: 1}\n',
        'default_extensions:\n- a\n  b\n',
        'default_extensions: [a]\ndefault_extensions: [b]\n',
        '{seed: 1}\n',
        '- a\n- b\n',
        '  seed: 1\n',
        'no settings at all\n',
        'seed: 1\n---\nseed: 2\n',
        'seed: 1\rmode: chat\r',
        b'name1: \xff\n',
    ],
    ids=repr,
)
def test_settings_that_are_not_understood_stay_as_they_are(source, v4, text):
    put(v4.settings, text)
    before = snapshot(v4.root)
    said = run(source, 'webui', v4.root, '--enable', code=1)
    assert f'{v4.settings} was left alone' in said
    assert v4.settings.read_bytes() == before['user_data/settings.yaml']
    assert (v4.extension / 'script.py').exists()  # the rest was done
    run(source, 'uninstall', v4.root)  # what does not name us needs no edit
    assert snapshot(v4.root) == before


def test_a_settings_json_is_not_put_out_of_use(source, tmp_path):
    webui = Webui(tmp_path / 'webui', 'v2.1')
    put(webui.root / 'server.py', "Path('settings.yaml'), Path('settings.json')")
    put(webui.root / 'settings.json', '{}')
    assert 'settings.json is in use' in run(source, 'webui', webui.root, '--enable', code=1)
    assert not webui.settings.exists()


def test_what_the_webui_saved_about_us_does_not_break_it_later(source, v4):
    run(source, 'webui', v4.root)
    put(v4.settings, f'preset: Airoboros\nmode: chat\n{NAME}-x: 1\ndefault_extensions:\n- {NAME}\n')
    models = put(
        v4.data / 'models' / 'config-user.yaml',
        'a$:\n  loader: airoboros-GPTQ\n  ctx_size: 2048\nb$:\n  instruction_template: Airoboros-v1.2\n'
        'c$:\n  loader: Transformers\n  instruction_template: Airoboros-v1.2.9\n'
        'd$:\n  instruction_template: Airoboros-v1.2\n  bf16: true\n  loader: airoboros-GPTQ-of-another\n',
    )
    assert 'was taken out' in run(source, 'uninstall', v4.root)
    saved = yaml.safe_load(v4.settings.read_bytes())
    assert saved == {'mode': 'chat', f'{NAME}-x': 1, 'default_extensions': []}
    kept = {'loader': 'Transformers', 'instruction_template': 'Airoboros-v1.2.9'}
    other = {'bf16': True, 'loader': 'airoboros-GPTQ-of-another'}
    assert yaml.safe_load(models.read_bytes()) == {'a$': {'ctx_size': 2048}, 'c$': kept, 'd$': other}


def test_the_loader_has_one_name():
    from airoboros_gptq import names

    import installer

    assert (installer.NAME, installer.LOADER) == (names.EXTENSION, names.LOADER)


@pytest.fixture
def no_yaml(monkeypatch):
    """No Python with PyYAML is found, neither the webui's nor our own."""
    monkeypatch.setattr(saved_settings.sys, 'executable', '/not/there/python')


PLAIN = ['', '# mine\n', 'seed: 1\n', 'mode: chat\npreset: min_p\n', 'default_extensions:\n- gallery\n- b\n']


@pytest.mark.parametrize('text', [None, *PLAIN, 'default_extensions:\n', f'default_extensions:\n- {NAME}\n'], ids=repr)
def test_without_a_parser_plain_files_are_edited(from_source, no_yaml, v4, text):
    if text is not None:
        put(v4.settings, text)
    before, old = snapshot(v4.root), yaml.safe_load(text or '') or {}
    assert install(WebuiTree(v4.root), enable=True) is None
    entries = [name for name in old.get('default_extensions') or [] if name != NAME]
    assert yaml.safe_load(v4.settings.read_bytes()) == {**old, 'default_extensions': [*entries, NAME]}
    uninstall(WebuiTree(v4.root))
    if NAME not in (text or ''):
        assert snapshot(v4.root) == before


@pytest.mark.parametrize(
    'text',
    [
        'a: "x"\n',
        'a: [1]\n',
        'default_extensions: [a]\n',
        '---\nseed: 1\n',
        'a: |\n  b\n',
        'a: &b c\n',
        'a: b: c\n',
        'a b: c\n',
    ],
)
def test_without_a_parser_others_are_refused_with_the_line_to_add(from_source, no_yaml, v4, text):
    put(v4.settings, text)
    failed = str(install(WebuiTree(v4.root), enable=True))
    assert f'{v4.settings} was left alone, as no Python with PyYAML' in failed
    assert f'add {NAME} to its default_extensions' in failed and f'`default_extensions: [{NAME}]`' in failed
    assert v4.settings.read_text() == text


def test_without_a_parser_an_uninstall_names_what_is_left_to_do(from_source, no_yaml, v4):
    install(WebuiTree(v4.root))
    text = put(v4.settings, f'a: "x"\ndefault_extensions: [{NAME}]\n').read_bytes()
    with pytest.raises(InstallError, match=rf'left alone, .*: take {NAME} out of its default_extensions by hand'):
        uninstall(WebuiTree(v4.root))
    assert v4.settings.read_bytes() == text and not v4.extension.exists()


def test_the_webuis_own_python_is_asked_first(from_source, v4, tmp_path):
    """One that finds every edit wrong, and one that cannot be asked."""
    put(v4.settings, 'seed: 1\n')
    answers = json.dumps({'reason': 'its own parser reads it otherwise', 'enabled': False})
    python = put(v4.root / 'venv' / 'bin' / 'python', f"#!/bin/sh\ncat > {tmp_path}/asked\necho '{answers}'\n")
    python.chmod(0o755)
    assert 'its own parser reads it otherwise' in str(install(WebuiTree(v4.root), enable=True))
    asked = json.loads((tmp_path / 'asked').read_text())
    assert base64.b64decode(asked['before']) == b'seed: 1\n' and NAME.encode() in base64.b64decode(asked['after'])
    python.write_text('#!/bin/sh\nexit 1\n')
    assert install(WebuiTree(v4.root), enable=True) is None


@pytest.mark.parametrize(
    ('text', 'enabled'),
    [
        # What a text edit would get wrong, were it not for the comparison.
        ('a: "x\ndefault_extensions: [b]\n"\n', None),
        ('default_extensions:\n- a\n- |\n  b\n', None),
        ('default_extensions: [a, "b, c"]\n', ['a', 'b, c', NAME]),
        ('default_extensions: [a # b\n  ]\n', None),
        ('default_extensions: [a]]\n', None),
        ('default_extensions: &x\n- a\nb: *x\n', None),
        ('{default_extensions: [a]}\n', None),
        ('? default_extensions\n: [a]\n', None),
        ('seed: 1\n...\n', None),
        ('a: {b: c\n', None),
        ('a: 2001-13-45\n', None),
        (f'default_extensions: &x [a, {NAME}]\n', ['a', NAME]),
        (f'{{default_extensions: [{NAME}]}}\n', [NAME]),
    ],
    ids=repr,
)
def test_the_parsed_settings_decide(from_source, in_process, v4, text, enabled):
    put(v4.settings, text)
    failed = install(WebuiTree(v4.root), enable=True)
    if enabled is None:
        assert 'was left alone' in str(failed) and v4.settings.read_text() == text
    else:
        assert failed is None and yaml.safe_load(v4.settings.read_bytes())['default_extensions'] == enabled


def test_what_is_not_ours_to_decide_stays_at_uninstall(from_source, v4):
    """An edit of the list that the text cannot make: the sentence names what to do."""
    install(WebuiTree(v4.root))
    text = put(v4.settings, f'default_extensions: &x [{NAME}]\nother: *x\n').read_bytes()
    with pytest.raises(InstallError, match='left alone, as its default_extensions is not a plain list of names'):
        uninstall(WebuiTree(v4.root))
    assert v4.settings.read_bytes() == text


def test_enabled_is_said_only_where_it_was_written(source, v4):
    put(v4.settings, 'seed: 1\n')
    assert f'{v4.settings}: enabled' in run(source, 'webui', v4.root, '--enable')
    assert f'{v4.settings}: already enabled' in run(source, 'webui', v4.root, '--enable')
    put(v4.settings, 'seed: 1\n')  # taken out by hand
    assert f'{v4.settings}: enabled' in run(source, 'webui', v4.root, '--enable')
    assert yaml.safe_load(v4.settings.read_bytes()) == {'seed': 1, 'default_extensions': [NAME]}
    run(source, 'uninstall', v4.root)
    assert v4.settings.read_text() == 'seed: 1\n'


@pytest.mark.parametrize('line', ['x', ' ', '\t', '#', '- ', 'default_extensions', 'a: b ', '\r\n', '"', '['])
@pytest.mark.parametrize('start', ['default_extensions:\n', 'default_extensions:\n- a', 'default_extensions: [a'])
def test_a_megabyte_of_settings_takes_no_time(start, line):
    end = 'x]\n' if '[' in start else 'x\n'
    data = (start + line * (1_000_000 // len(line)) + end).encode()
    begin = time.process_time()
    for edit in (lambda: add_entry(data, []), lambda: remove_entry(data, None), lambda: is_simple(data)):
        with contextlib.suppress(ValueError):
            edit()
    assert time.process_time() - begin < 3


@pytest.mark.parametrize(
    ('one', 'other', 'equal'),
    [
        ({'a': 1}, {'a': True}, False),
        ({'a': 1}, {'a': 1.0}, False),
        ({1: 'a'}, {True: 'a'}, False),
        ([float('nan')], [float('nan')], True),
        ({'a': [1, {'b': None}]}, {'a': [1, {'b': None}]}, True),
        ([1, 2], [2, 1], False),
        ({'a': 1, 'b': 2}, {'b': 2, 'a': 1}, True),
        ({'a': 1}, {'a': 1, 'b': 1}, False),
    ],
)
def test_settings_are_compared_by_value_and_type(one, other, equal):
    assert compare_yaml.same(one, other) is equal


@pytest.mark.parametrize('anchored', [False, True])
def test_a_config_user_that_the_edit_would_harm_stays(from_source, v4, anchored):
    """The webui writes no anchors; where somebody did, a line that goes may be one that another setting needs."""
    install(WebuiTree(v4.root))
    loader = '&x airoboros-GPTQ' if anchored else 'airoboros-GPTQ'
    text = (
        f'a$:\n  loader: {loader}\n  b: 1\nc$:\n  # loader: airoboros-GPTQ\n  text: "\n  loader: airoboros-GPTQ\n  "\n'
    )
    put(v4.models_config, text)
    with pytest.raises(InstallError, match=r'config-user\.yaml was left alone'):
        uninstall(WebuiTree(v4.root))
    assert v4.models_config.read_text() == text
