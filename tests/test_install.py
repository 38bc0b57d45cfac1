"""install.py as a person meets it: run in a shell on small webui trees, and compared byte for byte."""

import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
NAME = 'airoboros_gptq'
SHARED = "settings = {\n    'preset': 'min_p',\n    'default_extensions': %s,\n}\n"
USER_DATA = "settings_file = Path('user_data/settings.yaml')\n"

# layout: what its source says -> (data folder, extensions folder)
LAYOUTS = {
    'v4': (
        "p = shared.user_data_dir / 'extensions' / name / 'script.py'\n",
        USER_DATA,
        'user_data',
        'user_data/extensions',
    ),
    'v3.23': ("p = Path(f'user_data/extensions/{name}/script.py')\n", USER_DATA, 'user_data', 'user_data/extensions'),
    'v3.3': ("Path('extensions').glob('*/script.py')\n", USER_DATA, 'user_data', 'extensions'),
    'v2.1': ("Path('extensions').glob('*/script.py')\n", "Path('settings.yaml')\n", '.', 'extensions'),
}


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def snapshot(folder):
    """Every path with its bytes (or where it links to); folders count too."""
    return {
        p.relative_to(folder).as_posix(): os.readlink(p)
        if p.is_symlink()
        else p.read_bytes()
        if p.is_file()
        else 'folder'
        for p in sorted(folder.rglob('*'))
    }


def mtimes(folder):
    return {p: p.lstat().st_mtime_ns for p in folder.rglob('*')}


class Webui:
    def __init__(self, root, layout, defaults='[]'):
        lookup, server, data, extensions = LAYOUTS[layout]
        self.root, self.data = root, root / data
        self.extension = root / extensions / NAME
        self.settings = self.data / 'settings.yaml'
        self.preset = self.data / 'presets' / 'Airoboros.yaml'
        put(root / 'server.py', server)
        put(root / 'modules' / 'extensions.py', lookup)
        put(root / 'modules' / 'shared.py', SHARED % defaults)
        put(root / 'extensions' / 'gallery' / 'script.py', '')
        put(self.data / 'presets' / 'min_p.yaml', 'min_p: 0.05\n')
        put(self.data / 'instruction-templates' / 'Alpaca.yaml', 'instruction_template: x\n')


@pytest.fixture
def source(tmp_path):
    """A small project to install from, so that it can be upgraded."""
    root = tmp_path / 'project'
    for name in ('presets', 'instruction-templates'):
        shutil.copytree(ROOT / name, root / name)
    for name in ('install.py', 'pyproject.toml'):
        shutil.copy(ROOT / name, root / name)
    put(root / 'extensions' / NAME / 'script.py', 'params = {}\n')
    put(root / 'extensions' / NAME / 'core' / 'old.py', 'old = 1\n')
    put(root / 'extensions' / NAME / '__pycache__' / 'script.cpython-311.pyc', b'\0')
    return root


@pytest.fixture(params=LAYOUTS)
def webui(request, tmp_path):
    return Webui(tmp_path / 'webui', request.param)


@pytest.fixture
def v4(tmp_path):
    return Webui(tmp_path / 'webui', 'v4')


def run(source, *arguments, code=0, before=(), **env):
    """stdout and stderr of install.py; what it says on stderr is one line and no traceback."""
    environ = {k: v for k, v in os.environ.items() if k not in ('VIRTUAL_ENV', 'CONDA_PREFIX', 'PYTHONPATH')}
    command = [*before, sys.executable, source / 'install.py', *arguments]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env={**environ, **env})
    assert done.returncode == code, done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
    if code == 1:
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stdout + done.stderr


def load_installer(source):
    spec = importlib.util.spec_from_file_location('installer_under_test', source / 'install.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- in and out


def test_everything_lands_where_this_webui_looks_and_leaves_no_trace(source, webui):
    before = snapshot(webui.root)
    run(source, 'webui', webui.root, '--enable')
    assert (webui.extension / 'script.py').read_text() == 'params = {}\n'
    assert not (webui.extension / '__pycache__').exists()
    for name in ('presets/Airoboros.yaml', 'instruction-templates/Airoboros-v1.2.yaml'):
        assert (webui.data / name).read_bytes() == (ROOT / name).read_bytes()
    assert yaml.safe_load(webui.settings.read_bytes()) == {'default_extensions': [NAME]}
    put(webui.extension / 'core' / '__pycache__' / 'old.cpython-311.pyc', b'\0')  # as a run of the webui leaves it
    run(source, 'uninstall', webui.root)
    assert snapshot(webui.root) == before


def test_the_real_project_installs_and_uninstalls(v4):
    before = snapshot(v4.root)
    run(ROOT, 'webui', v4.root)
    real = [p for p in (ROOT / 'extensions' / NAME).rglob('*.py') if not p.name.startswith('.')]
    assert all((v4.extension / p.relative_to(ROOT / 'extensions' / NAME)).exists() for p in real)
    run(ROOT, 'uninstall', v4.root)
    assert snapshot(v4.root) == before


@pytest.mark.parametrize('flags', [[], ['--enable'], ['--link'], ['--link', '--enable']], ids=' '.join)
def test_a_second_run_changes_nothing_and_says_so(source, v4, flags):
    run(source, 'webui', v4.root, *flags)
    state, times = snapshot(v4.root), mtimes(v4.root)
    assert 'nothing to do' in run(source, 'webui', v4.root, *flags)
    assert (snapshot(v4.root), mtimes(v4.root)) == (state, times)


def test_link_shows_the_source_at_once_and_keeps_it_clean(source, webui):
    before, before_source = snapshot(webui.root), snapshot(source)
    run(source, 'webui', webui.root, '--link')
    assert webui.extension.is_symlink() and webui.preset.is_symlink()
    assert snapshot(source) == before_source
    assert 'uninstall it first' in run(source, 'webui', webui.root, code=1)
    run(source, 'uninstall', webui.root)
    assert snapshot(webui.root) == before
    assert snapshot(source) == before_source


def test_upgrade_replaces_adds_and_removes_but_keeps_what_was_edited(source, v4):
    before = snapshot(v4.root)
    run(source, 'webui', v4.root)
    put(source / 'extensions' / NAME / 'script.py', 'params = {1: 2}\n')
    put(source / 'extensions' / NAME / 'core' / 'new' / 'fast.py', '')
    (source / 'extensions' / NAME / 'core' / 'old.py').unlink()
    put(source / 'presets' / 'Airoboros.yaml', 'temperature: 0.5\n')
    v4.preset.write_text('temperature: 0.9\n')
    assert f'Kept {v4.preset}' in run(source, 'webui', v4.root)
    assert (v4.extension / 'script.py').read_text() == 'params = {1: 2}\n'
    assert (v4.extension / 'core' / 'new' / 'fast.py').exists()
    assert not (v4.extension / 'core' / 'old.py').exists()
    assert v4.preset.read_text() == 'temperature: 0.9\n'
    assert f'Kept {v4.preset}' in run(source, 'uninstall', v4.root)
    v4.preset.unlink()
    assert snapshot(v4.root) == before


@pytest.mark.parametrize('same', [True, False], ids=['same', 'other'])
def test_a_preset_that_was_there_before_us_is_never_touched(source, v4, same):
    put(v4.preset, (ROOT / 'presets' / 'Airoboros.yaml').read_bytes() if same else 'temperature: 1.3\n')
    before = snapshot(v4.root)
    assert (f'Kept {v4.preset}' in run(source, 'webui', v4.root)) is not same
    run(source, 'uninstall', v4.root)
    assert snapshot(v4.root) == before


@pytest.mark.parametrize('upgrade', [False, True], ids=['first', 'upgrade'])
def test_an_install_cut_short_can_be_uninstalled_or_finished(source, v4, upgrade):
    before = snapshot(v4.root)
    if upgrade:
        run(source, 'webui', v4.root)
        put(source / 'extensions' / NAME / 'script.py', 'params = {1: 2}\n')
        put(source / 'presets' / 'Airoboros.yaml', 'temperature: 0.5\n')
    installer = load_installer(source)
    real, written = installer.write, []

    def cut_short(path, data):
        if len(written) == 2:
            put(installer.temp_of(path), data[:3])
            raise KeyboardInterrupt
        written.append(path)
        real(path, data)

    installer.write = cut_short
    with pytest.raises(KeyboardInterrupt):
        installer.install(installer.Webui(v4.root), enable=True)
    cut = v4.root.parent / 'cut'
    shutil.copytree(v4.root, cut)
    run(source, 'uninstall', v4.root)
    assert snapshot(v4.root) == before
    assert 'Kept' not in run(source, 'webui', cut, '--enable')
    run(source, 'uninstall', cut)
    assert snapshot(cut) == before


def test_what_was_put_there_by_hand_is_left_to_the_hand(source, v4):
    shutil.copytree(source / 'extensions' / NAME, v4.extension)
    before = snapshot(v4.root)
    assert 'was not put there by install.py' in run(source, 'webui', v4.root, code=1)
    assert f'{v4.extension} was not put there by install.py' in run(source, 'uninstall', v4.root, code=1)
    assert snapshot(v4.root) == before


def test_uninstall_without_an_install_is_no_error(source, v4):
    before = snapshot(v4.root)
    assert 'is not installed' in run(source, 'uninstall', v4.root)
    assert snapshot(v4.root) == before


def test_an_install_survives_the_upgrade_of_the_webui_to_another_layout(source, tmp_path):
    old = Webui(tmp_path / 'webui', 'v3.3')
    before = {k: v for k, v in snapshot(old.root).items() if k.startswith(('extensions', 'user_data'))}
    run(source, 'webui', old.root)
    Webui(tmp_path / 'webui', 'v4')
    assert 'nothing to do' in run(source, 'webui', old.root)
    run(source, 'uninstall', old.root)
    assert {k: v for k, v in snapshot(old.root).items() if k.startswith(('extensions', 'user_data'))} == before


def test_user_data_beside_the_webui_is_found_through_a_link_too(source, tmp_path):
    webui = Webui(tmp_path / 'elsewhere' / 'webui', 'v4')
    (tmp_path / 'builds').mkdir()
    (tmp_path / 'builds' / 'webui').symlink_to(webui.root)
    webui.root = tmp_path / 'builds' / 'webui'
    shutil.move(webui.data, tmp_path / 'builds' / 'user_data')
    before = snapshot(tmp_path / 'builds')
    run(source, 'webui', webui.root)
    assert (tmp_path / 'builds' / 'user_data' / 'extensions' / NAME / 'script.py').exists()
    run(source, 'uninstall', webui.root)
    assert snapshot(tmp_path / 'builds') == before


# ---------------------------------------------------------------- settings.yaml

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
def test_enable_adds_one_entry_and_uninstall_gives_the_bytes_back(source, tmp_path, text, eol):
    installer = load_installer(source)
    webui = Webui(tmp_path / 'webui', 'v2.1', "['gallery']")
    put(webui.settings, text.replace('\n', eol))
    before, old = snapshot(webui.root), yaml.safe_load(webui.settings.read_bytes()) or {}
    expected = old['default_extensions'] or [] if 'default_extensions' in old else ['gallery']
    assert installer.install(installer.Webui(webui.root), enable=True) is None
    data = webui.settings.read_bytes()
    assert yaml.safe_load(data) == {**old, 'default_extensions': [*expected, *([NAME] * (NAME not in expected))]}
    if '\n' in text:
        assert (b'\n' in data.replace(b'\r\n', b'')) is (eol == '\n')
    if text and 'default_extensions' not in old:
        assert data.endswith(b'\n') == text.endswith('\n')
    # Every line of theirs is still there, as it was, but for one that the entry had to go into.
    lost = set(text.split('\n')) - {'', *data.decode().split(eol)}
    assert len(lost) <= 1 and all(']' in line or ':' in line or line == '  b' for line in lost)
    installer.uninstall(installer.Webui(webui.root))
    expected = {**before, 'settings.yaml': installer.drop_ours(before['settings.yaml'], None)}
    assert snapshot(webui.root) == (before if NAME not in (old.get('default_extensions') or []) else expected)


@pytest.mark.parametrize('text', SETTINGS[:-2], ids=repr)
def test_uninstall_after_the_webui_wrote_settings_takes_out_our_entry_alone(source, tmp_path, text):
    installer = load_installer(source)
    webui = Webui(tmp_path / 'webui', 'v2.1', "['gallery']")
    put(webui.settings, text)
    old = yaml.safe_load(webui.settings.read_bytes()) or {}
    installer.install(installer.Webui(webui.root), enable=True)
    saved = {**yaml.safe_load(webui.settings.read_bytes()), 'preset': 'Airoboros', 'mode': 'chat'}
    webui.settings.write_text(yaml.dump(saved, sort_keys=False))
    installer.uninstall(installer.Webui(webui.root))
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
    assert f'{v4.settings} was left alone' in run(source, 'uninstall', v4.root, code=1)
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
        'a$:\n  loader: Airoboros GPTQ\n  ctx_size: 2048\nb$:\n  instruction_template: Airoboros-v1.2\n'
        'c$:\n  loader: Transformers\n  instruction_template: Airoboros-v1.2.9\n',
    )
    assert 'was taken out' in run(source, 'uninstall', v4.root)
    saved = yaml.safe_load(v4.settings.read_bytes())
    assert saved == {'mode': 'chat', f'{NAME}-x': 1, 'default_extensions': []}
    kept = {'loader': 'Transformers', 'instruction_template': 'Airoboros-v1.2.9'}
    assert yaml.safe_load(models.read_bytes()) == {'a$': {'ctx_size': 2048}, 'c$': kept}


# ---------------------------------------------------------------- what cannot be done


@pytest.mark.parametrize(
    ('prepare', 'says'),
    [
        (lambda w: shutil.rmtree(w.root), 'is not a folder'),
        (lambda w: (w.root / 'server.py').unlink(), 'is not a text-generation-webui'),
        (lambda w: (w.root / 'portable_env').mkdir(), 'portable build'),
        (lambda w: (w.root / 'characters' / 'instruction-following').mkdir(parents=True), 'older than v1.7'),
        (lambda w: shutil.rmtree(w.data / 'presets') or put(w.data / 'presets', ''), 'is a file where a folder'),
        (lambda w: put(w.extension / '.installed.json', '{"mode"'), 'is damaged'),
        (lambda w: put(w.extension / '.installed.json', '[]'), 'is damaged'),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence_and_changes_nothing(source, v4, prepare, says):
    prepare(v4)
    before = snapshot(v4.root)
    said = run(source, 'webui', v4.root, '--enable', code=1)
    assert says in said and str(v4.root) in said
    assert snapshot(v4.root) == before


def test_a_folder_that_cannot_be_written_stops_before_anything_is(source, v4):
    # root may write everywhere unless that right is taken from it
    drop = ['setpriv', '--bounding-set=-dac_override,-dac_read_search,-fowner']
    prefix = drop if hasattr(os, 'geteuid') and os.geteuid() == 0 else []
    if os.name == 'nt' or (prefix and not shutil.which('setpriv')):
        pytest.skip('nothing is read-only here')
    presets = v4.data / 'presets'
    presets.chmod(stat.S_IREAD | stat.S_IEXEC)
    try:
        before = snapshot(v4.root)
        assert f'{presets} cannot be written' in run(source, 'webui', v4.root, code=1, before=prefix)
        assert snapshot(v4.root) == before
    finally:
        presets.chmod(0o755)


# ---------------------------------------------------------------- the environment


def fake_python(path, answer):
    """A program that answers as a Python with these packages would."""
    put(path, f"#!/bin/sh\necho '{answer if isinstance(answer, str) else json.dumps(answer)}'\n").chmod(0o755)
    return path


GOOD = {'python': '3.13.1', 'torch': '2.10.0+cu128', 'transformers': '5.6.1', 'accelerate': '1.13.0'}
GOOD |= {'safetensors': '0.7.0', 'gradio': '4.37.2+custom.21'}


@pytest.mark.skipif(os.name == 'nt', reason='the fakes are shell scripts')
@pytest.mark.parametrize(
    ('answer', 'says'),
    [
        (GOOD, 'has all that is needed: python 3.13.1, torch 2.10.0+cu128'),
        ({**GOOD, 'torch': '2.2.1'}, 'lacks torch>=2.3 (it has'),
        ({k: v for k, v in GOOD.items() if k not in ('gradio', 'accelerate')}, 'lacks accelerate, gradio'),
        ({**GOOD, 'python': '3.9.18', 'transformers': '4.5.1'}, 'lacks python>=3.10, transformers>=4.46'),
        ('hello', 'Environment not checked'),
        ('[]', 'Environment not checked'),
    ],
)
@pytest.mark.parametrize('place', ['installer_files/env/bin/python', 'venv/bin/python', '--python'])
def test_the_environment_is_looked_at_and_never_in_the_way(source, v4, tmp_path, answer, says, place):
    elsewhere = place == '--python'
    python = fake_python(tmp_path / 'python' if elsewhere else v4.root / place, answer)
    said = run(source, 'webui', v4.root, *(['--python', python] if elsewhere else []))
    assert says in said and str(python) in said
    assert (v4.extension / 'script.py').exists()


def test_no_python_is_said_and_the_active_environment_is_a_last_resort(source, v4, tmp_path):
    assert 'Environment not checked: no Python' in run(source, 'webui', v4.root)
    if os.name != 'nt':
        fake_python(tmp_path / 'active' / 'bin' / 'python', GOOD)
        said = run(source, 'webui', v4.root, VIRTUAL_ENV=str(tmp_path / 'active'))
        assert 'the active environment' in said and 'all that is needed' in said


# ---------------------------------------------------------------- demo and test


@pytest.fixture
def installer(source, monkeypatch):
    """install.py with every command written down instead of run; making a venv leaves a Python that works."""
    module = load_installer(source)
    module.commands = []
    module.codes = {}

    def call(*command, env=None):
        words = ' '.join(str(part) for part in command)
        module.commands.append(words)
        if ' -m venv ' in words:
            put(module.VENV / 'bin' / 'python', '#!/bin/sh\nexit 0\n').chmod(0o755)
        return next((code for text, code in module.codes.items() if text in words), 0)

    monkeypatch.setattr(module, 'call', call)
    return module


def installed(module):
    """What pip was asked for since the last look."""
    wanted = [c.split('pip install ')[1] for c in module.commands if 'pip install ' in c]
    module.commands.clear()
    return wanted


@pytest.mark.skipif(os.name == 'nt', reason='the fakes are shell scripts')
def test_the_environment_is_made_once_and_again_when_it_must_be(installer, source):
    installer.environment(['demo'])
    assert installed(installer) == [installer.TORCH, '-e .[demo]']
    installer.environment(['demo'])
    assert installed(installer) == []
    installer.environment(['demo', 'test'])
    assert installed(installer)[1] == '-e .[demo,test]'
    installer.environment(['demo'])
    assert installed(installer) == []
    (source / 'pyproject.toml').write_text('# changed')
    installer.environment(['demo'])
    assert installed(installer) == [installer.TORCH, '-e .[demo]']
    (installer.VENV / 'bin' / 'python').unlink()
    installer.environment(['demo'])
    assert ' -m venv ' in ' '.join(installer.commands)


@pytest.mark.skipif(os.name == 'nt', reason='the fakes are shell scripts')
def test_an_environment_that_pip_left_half_made_is_taken_up_again(installer):
    installer.codes['-e .'] = 1
    with pytest.raises(installer.Stop, match='pip could not install'):
        installer.environment(['demo'])
    installer.codes.clear()
    installed(installer)
    installer.environment(['demo'])
    assert installed(installer) == [installer.TORCH, '-e .[demo]']


def test_an_environment_of_yours_is_not_wiped(installer):
    put(installer.VENV / 'bin' / 'mine', '')
    with pytest.raises(installer.Stop, match=r'was not made by install\.py'):
        installer.environment(['demo'])
    assert (installer.VENV / 'bin' / 'mine').exists()


def test_a_python_without_ensurepip_names_the_package(installer, monkeypatch):
    monkeypatch.setattr(installer.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(installer.Stop, match='python3-venv'):
        installer.environment(['demo'])


def test_arguments_are_passed_on(installer, monkeypatch, tmp_path):
    monkeypatch.setattr(installer, 'environment', lambda extras: 'PYTHON')
    monkeypatch.chdir(tmp_path)
    installer.main(['demo', '--model-dir', 'mine', '--port', '7', '--', '--share', '-x'])
    assert installer.commands == [f'PYTHON -m {NAME} demo --model-dir {tmp_path / "mine"} --port 7 --share -x']


@pytest.mark.parametrize(('fails', 'code', 'runs'), [(None, 0, 3), ('ruff format', 3, 2), ('pytest', 5, 3)])
def test_the_first_check_that_fails_is_the_exit_code(installer, monkeypatch, fails, code, runs):
    monkeypatch.setattr(installer, 'environment', lambda extras: 'PYTHON')
    monkeypatch.setattr(installer, 'get_chromium', lambda python: None)
    installer.codes[fails or 'nothing'] = code
    assert installer.main(['test', '--', '-k', 'x']) == code
    assert len(installer.commands) == runs
    assert 'ruff check' in installer.commands[0]
    assert fails == 'ruff format' or installer.commands[-1].endswith('pytest -ra -k x')


def test_test_refuses_a_folder_that_is_no_webui(source, tmp_path):
    assert 'is not a text-generation-webui' in run(source, 'test', '--webui', tmp_path, code=1)


@pytest.mark.parametrize('name', ['chromium', 'chromium-browser', 'google-chrome', None])
def test_chromium_is_found_on_the_path_or_in_its_variable(installer, monkeypatch, tmp_path, name):
    program = put(tmp_path / 'bin' / (name or 'my-browser'), '#!/bin/sh\n')
    program.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'))
    monkeypatch.delenv('CHROMIUM', raising=False)
    if not name:
        monkeypatch.setenv('CHROMIUM', str(program))
    assert installer.find_chromium() == str(program)
    monkeypatch.setenv('CHROMIUM', str(tmp_path / 'missing'))
    with pytest.raises(installer.Stop, match='correct or unset'):
        installer.find_chromium()


def test_the_environment_of_the_caller_does_not_leak(installer, monkeypatch):
    for name in ('PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', 'PIP_USER', '__PYVENV_LAUNCHER__'):
        monkeypatch.setenv(name, '1')
    monkeypatch.setenv('PIP_INDEX_URL', 'https://example.org')
    env = installer.clean_environ(CHROMIUM='c')
    assert not {'PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', '__PYVENV_LAUNCHER__'} & env.keys()
    assert (env['PIP_USER'], env['PIP_INDEX_URL'], env['CHROMIUM']) == ('0', 'https://example.org', 'c')
