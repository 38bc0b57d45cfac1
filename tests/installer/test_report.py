"""What install.py says: every place that it wrote to, and what to do next."""

import os
import re
import sys
from pathlib import Path

import pytest
from install_helpers import NAME, put, run, snapshot

START = 'start_windows.bat' if os.name == 'nt' else 'start_macos.sh' if sys.platform == 'darwin' else 'start_linux.sh'


def named(said, webui):
    """The files and folders that a report names."""
    places = set()
    for names, rest in re.findall(r'(?m)^  (.+?): (.*)$', said):
        first, *more = names.split(', ')
        places |= {Path(first), *(webui.root / name for name in more)}
        if Path(first).name in ('presets', 'instruction-templates'):
            places.remove(Path(first))
            places |= {Path(first, name) for name in rest.rstrip('.').split(', ')}
    return places


@pytest.mark.parametrize('flags', [[], ['--enable'], ['--link', '--enable'], ['--no-start-hook']], ids=' '.join)
def test_every_place_written_to_is_named(source, webui, flags):
    before = snapshot(webui.root)
    places = named(run(source, 'webui', webui.root, *flags), webui)
    after = snapshot(webui.root)
    written = {webui.root / path for path in after if before.get(path) != after[path] and after[path] != 'folder'}
    unnamed = {path for path in written if not places & {path, *path.parents}}
    assert unnamed <= {webui.extension.parent / f'.{NAME}.installed.json'}  # the manifest beside a link
    assert webui.extension in places and webui.preset in places
    assert (webui.settings in places) is ('--enable' in flags)
    assert (webui.root / f'{NAME}_early.py' in places) is ('--no-start-hook' not in flags)


@pytest.mark.parametrize('script', [True, False])
@pytest.mark.parametrize('enable', [True, False])
def test_what_to_do_next_is_the_last_line(source, v4, script, enable):
    if script:
        put(v4.root / START, '')
    said = run(source, 'webui', v4.root, *(['--enable'] if enable else []))
    last = said.strip().splitlines()[-1]
    command = str(v4.root / START) if script else 'python server.py'
    flag = '' if enable else f' --extensions {NAME}'
    assert last.startswith(f'Next: start the webui with `{command}{flag}`') and 'Model tab' in last
    assert 'first download TheBloke/airoboros-7B-gpt4-1.2-GPTQ' in last and last.endswith('press Load.')
    assert ('or run this again with --enable' in last) is not enable
    # An upgrade knows that it is enabled.
    assert (NAME in run(source, 'webui', v4.root).strip().splitlines()[-1]) is not enable


def test_where_it_could_not_be_enabled_the_flag_is_named(source, v4):
    put(v4.settings, '{seed: 1}\n')
    said = run(source, 'webui', v4.root, '--enable', code=1)
    assert f'--extensions {NAME}` (or run' in said


def test_an_upgrade_names_the_version_before(source, v4):
    assert ' in place of' not in run(source, 'webui', v4.root)
    put(source / 'extensions' / NAME / '__init__.py', "__version__ = '10.0'\n")
    said = run(source, 'webui', v4.root)
    assert f'{NAME} 10.0 in place of 9.9: 2 files written, 0 removed.' in said


def test_the_cache_is_named_and_an_uninstall_leaves_it(source, v4, tmp_path):
    cache = tmp_path / 'cache'
    assert f'into {cache}.' in run(source, 'webui', v4.root, AIROBOROS_GPTQ_CACHE=str(cache))
    assert 'made again' not in run(source, 'uninstall', v4.root, AIROBOROS_GPTQ_CACHE=str(cache))
    run(source, 'webui', v4.root)
    put(cache / 'gptq_cpu-1.so', '')
    assert f'Kept {cache}, which' in run(source, 'uninstall', v4.root, AIROBOROS_GPTQ_CACHE=str(cache))
    assert (cache / 'gptq_cpu-1.so').exists()
