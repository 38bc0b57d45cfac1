"""The benchmark measures what it says; how fast anything is, it only reports."""

import importlib.util
import json
import math
import os
import shutil
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import namedtuple

import pytest
import torch
from airoboros_gptq import GPTQError, cli, load
from airoboros_gptq.bench import plot, synthetic
from airoboros_gptq.bench.clock import now
from airoboros_gptq.bench.engines.process import ENGINES, EngineProcess
from airoboros_gptq.bench.synthetic import SHAPES, synthetic_folder
from airoboros_gptq.bench.traffic import bytes_per_token
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.preflight.folder_summary import read_summary
from safetensors import safe_open
from support import ROOT, TINY, cpu_kernel, run_cli


def bench(capsys, *arguments):
    code = cli.main(['bench', *map(str, arguments)])
    return code, *capsys.readouterr()


def numbers(value, at=''):
    """Every number of the JSON, with the way to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, f'{at}.{key}')
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner, at)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield at, value


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    """One run of all lengths on the tiny Airoboros."""
    file = tmp_path_factory.mktemp('bench') / 'tiny.json'
    picture = file.with_suffix('.svg')
    assert cli.main(['bench', str(TINY), '--device', 'cpu', '--json', str(file), '--plot', str(picture)]) == 0
    return json.loads(file.read_text()), picture


def test_every_figure_is_there_and_finite(report):
    found, _ = report
    (ours,) = found['engines']
    assert set(ours['prefill']) == {'64', '512', '1500'} and set(ours['decode']) == {'16', '1500'}
    assert all(math.isfinite(v) for _, v in numbers(found))
    positive = {at: v for at, v in numbers(found) if 'overhead' not in at}
    assert all(v > 0 for v in positive.values()), positive
    for part in ('machine', 'model', 'bandwidth', 'load', 'memory', 'second_turn', 'generate'):
        assert found[part]
    assert found['load']['from_disk']['file_read_seconds'] > 0 or not hasattr(os, 'posix_fadvise')
    assert found['machine']['torch'] and found['model']['bits'] == 4 and ours['running'].endswith('bfloat16')


def test_figures_follow_from_the_times(report):
    found, _ = report
    decode = found['engines'][0]['decode']['1500']
    middle = sorted(decode['runs'])[len(decode['runs']) // 2] / decode['tokens']
    assert decode['tokens_per_second'] == pytest.approx(1 / middle)
    assert decode['gb_per_second'] == pytest.approx(decode['bytes_per_token'] / middle / 1e9)
    assert decode['share_of_bandwidth'] == pytest.approx(decode['gb_per_second'] * 1e9 / found['bandwidth'])
    at_16 = found['engines'][0]['decode']['16']
    assert decode['bytes_per_token'] - at_16['bytes_per_token'] == 2 * 4 * 256 * (1500 - 16) * 2  # keys and values


def test_the_plot_shows_every_speed(report):
    found, picture = report
    drawn = ''.join(ElementTree.fromstring(picture.read_text()).itertext())
    for kind in ('prefill', 'decode'):
        for figure in found['engines'][0][kind].values():
            assert f'{figure["tokens_per_second"]:.1f}' in drawn
    two = {**found, 'engines': [found['engines'][0], {**found['engines'][0], 'name': 'a < b'}]}
    assert 'a < b' in ''.join(ElementTree.fromstring(plot.draw([two])).itertext())


def test_the_readme_is_made_from_any_reports(report, tmp_path):
    spec = importlib.util.spec_from_file_location('readme', ROOT / 'tools' / 'benchmark_tables.py')
    readme = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(readme)
    found, _ = report
    ours = found['engines'][0]
    slower = {
        kind: {n: f | {'tokens_per_second': f['tokens_per_second'] / 2} for n, f in ours[kind].items()}
        for kind in ('prefill', 'decode')
    }
    gpu = found | {
        'machine': found['machine'] | {'gpu': 'A GPU', 'device': 'cuda:0'},
        'model': found['model'] | {'desc_act': True},
        'engines': [ours, {'name': 'exllamav2', 'version': '0.3.2', 'running': 'GPTQ', **slower}],
    }
    for name, one in (('a', gpu), ('b', found)):
        (tmp_path / f'{name}.json').write_text(json.dumps(one))
    text = readme.section(readme.read(tmp_path))
    assert text.index(found['machine']['processor']) < text.index('### A GPU')  # CPUs first
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in text.splitlines()]
    (rival,) = [row for row in rows if row[1:2] == ['exllamav2 0.3.2']]
    assert len(rival) == 2 + 5 and all(cell.endswith('(x2.00)') for cell in rival[2:])
    assert sum(row[0].endswith(', act-order') for row in rows) == 2  # its speeds, and the rest
    assert f'{ours["decode"]["16"]["tokens_per_second"]:.1f}' in text


def test_processor_time_and_pytorchs_op(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('AIROBOROS_GPTQ_CACHE', str(tmp_path))
    monkeypatch.setenv('AIROBOROS_GPTQ_BENCH_CLOCK', 'wall')  # and as it was, afterwards
    options = ('--synthetic', 'tiny', '--quick', '--device', 'cpu', '--against', 'torch-int4')
    before = torch.get_num_threads()
    try:
        code, out, _ = bench(capsys, *options, '--processor-time', '--json')
    finally:
        torch.set_num_threads(before)
    found = json.loads(out)
    assert code == 0 and (found['machine']['clock'], found['machine']['threads']) == ('processor', 1)
    ours, other = found['engines']
    assert other['name'] == 'torch-int4' and other['running'].startswith('torch-int4 on cpu')
    assert ours['running'].startswith(cpu_kernel()) and set(ours['decode']) == set(other['decode'])
    started = time.process_time()
    time.sleep(0.2)
    assert now() - started < 0.1  # what sleeps takes none of it


def test_a_quick_look_at_random_weights(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('AIROBOROS_GPTQ_CACHE', str(tmp_path))
    options = ('--synthetic', 'tiny', '--act-order', '--quick', '--device', 'cpu', '--kernel', 'reference')
    code, out, _ = bench(capsys, *options)
    assert code == 0
    for line in (
        'machine',
        'load',
        'from disk',
        'peak memory',
        'prefill of 64',
        'decode at 16',
        'second turn',
        'generate()',
    ):
        assert f'\n{line}' in f'\n{out}'
    assert 'act-order' in out and 'reference on cpu' in out
    code, out, _ = bench(capsys, *options, '--json')
    assert json.loads(out)['model']['desc_act'] is True


@pytest.mark.parametrize('bits', [2, 3, 4, 8])
@pytest.mark.parametrize('act_order', [False, True])
def test_a_synthetic_folder_is_what_it_is_called(tmp_path, bits, act_order):
    seen = []
    folder = synthetic_folder('tiny', act_order, bits, 64, lambda *at: seen.append(at), tmp_path)
    facts = read_summary(folder)
    assert not facts.quantization.config_mismatches and facts.quantization.symmetric
    assert [facts.quantization.values(k) for k in ('bits', 'group_size', 'desc_act')] == [[bits], [64], [act_order]]
    assert seen[-1][0] == seen[-1][1] < facts.checkpoint.size
    model, tokenizer = load(folder, kernel='reference', device='cpu', progress=lambda done, total: None)
    assert tokenizer('Hi w').input_ids[0] == 1 and tokenizer.decode([300, 301]) == 'w300 w301'
    with torch.inference_mode():
        logits = model(torch.randint(3, 1024, (1, 50))).logits
    assert 0.2 < float(logits.std()) < 5  # neither dying out nor growing from layer to layer
    with safe_open(folder / 'model.safetensors', 'pt') as file:
        q, k, o = (file.get_tensor(f'model.layers.1.self_attn.{n}_proj.g_idx') for n in 'qko')
    assert q.equal(k) and q.equal(o) != act_order  # an order for each input, not for each linear
    written = (folder / 'model.safetensors').stat().st_mtime_ns
    assert synthetic_folder('tiny', act_order, bits, 64, parent=tmp_path) == folder
    assert (folder / 'model.safetensors').stat().st_mtime_ns == written


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(10, 10, 0))
    with pytest.raises(GPTQError, match=r'has no room for 2\.4\d MB'):
        synthetic_folder('tiny', parent=tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(synthetic, '_write_settings', lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        synthetic_folder('tiny', parent=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_7b_reads_what_everyone_counts():
    shape, specs = SHAPES['7b'], {}
    for name, (_, size) in synthetic._tensors(shape, 4, 128):
        if name.endswith('.qweight'):
            specs[name] = LinearSpec(size[0] * 8, size[1], 4, 128, False)
    config = {'vocab_size': 32000, 'hidden_size': 4096, 'num_hidden_layers': 32, 'num_attention_heads': 32}
    assert bytes_per_token(specs, config, 0) == pytest.approx(3.63e9, rel=2e-3)
    assert bytes_per_token(specs, config, 1500) - bytes_per_token(specs, config, 0) == 1500 * 2**19


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        ((), 'Name one model to measure'),
        ((TINY, '--synthetic', 'tiny'), 'Name one model to measure'),
        ((TINY, '--plot', 'x.png'), 'ends in .svg'),
        ((TINY, '--processor-time', '--device', 'cuda:0'), '--processor-time is for CPUs'),
        ((TINY / 'none',), 'none'),
        (('--synthetic', 'tiny', '--group-size', '96'), 'Groups of 96 do not divide 256 and 512'),
        ((TINY, '--against', 'llama.cpp', '--against-python', '/no/python'), '/no/python cannot be run'),
    ],
)
def test_what_cannot_be_measured_is_a_sentence(capsys, arguments, sentence):
    code, out, err = bench(capsys, *arguments)
    assert (code, out, err.count('\n')) == (1, '', 1) and sentence in err


@pytest.mark.parametrize('name', ENGINES)
def test_a_missing_package_is_named_before_anything_is_loaded(capsys, monkeypatch, name):
    engine = ENGINES[name]._replace(packages=('json', 'no_such_package'))
    monkeypatch.setitem(ENGINES, name, engine)
    code, out, err = bench(capsys, TINY, '--against', name)
    assert (code, out, err.count('\n')) == (1, '', 1)
    assert '(no_such_package)' in err and f'`pip install {engine.install}`' in err


def test_an_engine_that_fails_says_why(tmp_path):
    with pytest.raises(GPTQError, match=r'llama\.cpp failed \(\w+Error'):
        EngineProcess('llama.cpp', sys.executable, tmp_path, 'cpu', 1)


def test_a_pipe_is_told_each_step():
    """In a terminal a bar says it; a log needs lines, from the first second."""
    code, _, err = run_cli('bench', TINY, '--device', 'cpu', '--quick', '--processor-time')
    lines = [line for line in err.splitlines() if line.startswith('bench: ')]
    assert code == 0 and lines[0] == 'bench: importing libraries'
    assert [line.split()[1].partition('/')[0] for line in lines[1:]] == [str(n) for n in range(1, len(lines))]
    assert any(line.endswith('prefill of 64') for line in lines)
