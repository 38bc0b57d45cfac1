"""How far loading is: the caller's callable, or a bar in the terminal."""

import pytest
from airoboros_gptq import load
from airoboros_gptq.model.progress import progress_or_bar
from support import PLAIN, TINY


def test_progress_grows_to_the_total(tmp_path, capsys):
    seen = []
    load(TINY, device='cpu', progress=lambda done, total: seen.append((done, total)))
    done, totals = zip(*seen, strict=True)
    assert list(done) == sorted(done) and len(done) > 28
    assert set(totals) == {done[-1]}
    assert 0.9 < done[-1] / (TINY / PLAIN).stat().st_size <= 1
    assert capsys.readouterr().err == ''  # the caller's own bar is the only one


def test_without_a_callable_a_bar_is_drawn(capsys):
    load(TINY, device='cpu')
    assert f'Loading {PLAIN}: 100%' in capsys.readouterr().err


def test_a_bar_that_was_drawn_is_closed_when_loading_fails(capsys):
    with pytest.raises(ValueError, match='half way'), progress_or_bar(None, 'a file') as report:
        report(30, 90)
        raise ValueError('half way')
    assert capsys.readouterr().err.endswith('\n')


def test_no_bar_without_progress(capsys):
    with progress_or_bar(None, 'a file'):
        pass
    assert capsys.readouterr().err == ''
