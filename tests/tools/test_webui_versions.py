"""What tools/webui_versions.py makes of a git folder, of a report and of its rows."""

import subprocess

import pytest
import webui_versions

REPORT = """<testsuites><testsuite>
<testcase classname="tests.a" name="one"/>
<testcase classname="tests.a" name="two"/><testcase classname="tests.a" name="two"><error message="it left a mess"/></testcase>
<testcase classname="tests.a" name="three"><failure message="no"/></testcase>
<testcase classname="b" name="one"><skipped message="this webui lacks a copy button"/></testcase>
<testcase classname="b" name="two"><skipped message="no GPU"/></testcase>
</testsuite></testsuites>"""


def test_a_report_is_counted_by_test_and_what_is_lacking_is_named(tmp_path):
    (tmp_path / 'report.xml').write_text(REPORT)
    found = webui_versions.counts(tmp_path / 'report.xml')
    red = ['tests/a.py::three', 'tests/a.py::two']
    assert found == {'passed': 1, 'skipped': 2, 'failed': 2, 'not_tested': ['a copy button'], 'red': red}


def test_what_failed_and_was_run_again_counts_as_it_ended():
    before = {
        'passed': 5,
        'skipped': 1,
        'failed': 2,
        'red': ['a', 'b'],
        'not_tested': [],
        'suite': 'all',
        'date': 'old',
    }
    again = {'passed': 1, 'skipped': 0, 'failed': 1, 'red': ['b'], 'not_tested': [], 'suite': 'all', 'date': 'new'}
    assert webui_versions.merged(before, again) == {**before, 'passed': 6, 'failed': 1, 'red': ['b'], 'date': 'new'}
    with pytest.raises(ValueError, match='1 of the tests that failed before did not run again'):
        webui_versions.merged(before, {**again, 'failed': 0, 'red': []})


def test_the_table_has_the_newest_first():
    row = dict.fromkeys(('python', 'gradio', 'transformers', 'suite', 'date'), '1') | {'not_tested': [], 'passed': 3}
    row |= {'skipped': 0, 'failed': 0}
    made = webui_versions.table({'v3.23': row, 'v4.9': row, 'dev': row, 'v4.10': row | {'not_tested': ['a', 'b']}})
    lines = made.splitlines()
    assert [line.split(' | ')[0] for line in lines[2:]] == ['| dev', '| v4.10', '| v4.9', '| v3.23']
    assert '| a; b |' in lines[3] and len({line.count('|') for line in lines}) == 1


def test_old_transformers_have_no_prompt_cache():
    assert webui_versions.limits('v3.0', {'transformers': '4.53.3'}) == 'no prompt caching (transformers < 4.54)'
    assert {webui_versions.limits('v4.9', {'transformers': v}) for v in ('4.54.0', '4.57.6', '5.6.2')} == {'-'}
    assert webui_versions.limits('v2.6', {'transformers': '4.54.0'}).startswith('no pickles')
    assert webui_versions.limits('main', {'transformers': '4.54.0'}) == '-'


def test_a_ref_is_fetched_from_a_git_folder_and_from_an_address(tmp_path):
    origin = tmp_path / 'origin'
    origin.mkdir()

    def git(*args):
        identity = ['-c', 'user.name=a', '-c', 'user.email=a@example.com']
        subprocess.run(['git', '-C', origin, *identity, *args], check=True, capture_output=True)

    git('init', '--quiet')
    for name in ('server.py', f'{webui_versions.NOT_FETCHED}/words'):
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_text('old')
    git('add', '-A')
    git('commit', '-m', 'old')
    git('tag', 'v1')
    (origin / 'server.py').write_text('new')
    git('commit', '-am', 'new')
    webui_versions.fetch('v1', str(origin), tmp_path / 'a')
    assert (tmp_path / 'a' / 'server.py').read_text() == 'old'
    assert not (tmp_path / 'a' / webui_versions.NOT_FETCHED).exists()
    webui_versions.fetch('v1', f'file://{origin}', tmp_path / 'b')
    assert (tmp_path / 'b' / 'server.py').read_text() == 'old'
    with pytest.raises(subprocess.CalledProcessError):
        webui_versions.fetch('v2', str(origin), tmp_path / 'c')
