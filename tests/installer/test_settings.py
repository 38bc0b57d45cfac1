"""settings.yaml and config-user.yaml: ours goes in and out, and everything else stays as it was written."""

import pytest
import yaml
from install_helpers import NAME, Webui, put, run, snapshot

from installer.install import install
from installer.settings_yaml import remove_entry
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


@pytest.mark.parametrize('eol', ['\n', '\r\n'], ids=['lf', 'crlf'])
@pytest.mark.parametrize('text', SETTINGS, ids=repr)
def test_enable_adds_one_entry_and_uninstall_gives_the_bytes_back(from_source, tmp_path, text, eol):
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
def test_uninstall_after_the_webui_wrote_settings_takes_out_our_entry_alone(from_source, tmp_path, text):
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
