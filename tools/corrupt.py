"""python tools/corrupt.py COUNT SECONDS SEED [FIRST]: damages folders, inspects and loads them, each within limits of time and
memory, until there were COUNT or the SECONDS are over. Prints what was found, as JSON.

The seed and the number of a case, from FIRST on, say all about it: `corrupt.py 1 60 SEED CASE` does one again. Those in
tests/end_to_end/kept_corruptions.txt, which once found a fault, are done before all others with `corrupt.py COUNT SECONDS kept`.
"""

import collections
import faulthandler
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ['OMP_NUM_THREADS'] = '1'
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'extensions'), str(ROOT / 'tests' / 'helpers')]

import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.checkpoint.quantize_config import is_gptq_folder
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.preflight.folder_summary import as_text, read_summary
from corruptions import FILLED, REFUSED, SAME, damage, make_folders
from limits import limited, peak
from verdicts import compare_verdicts, inspected

SECONDS_A_CASE = 30
MIN_CASES = 20  # however slow the machine is
MEMORY_A_CASE = 1 << 30  # bytes that stay resident at a time
ADDRESS_SPACE = 6 << 30  # beyond that of the process at the start
KEPT = ROOT / 'tests' / 'end_to_end' / 'kept_corruptions.txt'
IDS = torch.tensor([[1, 20, 300, 77, 512, 4]])


def answer(folder):
    model, _ = load(folder, device='cpu', progress=lambda done, total: None)
    return model, lambda: model(IDS).logits


def verdict(folder, allowed, right):
    """'refused' or 'loaded'; raises AssertionError, or whatever the loader should not have raised."""
    is_gptq_folder(folder)
    try:
        summary = read_summary(folder)
        as_text(summary)
    except GPTQError as e:
        assert '\n' not in str(e), e
    seen = inspected(folder)
    try:
        model, logits = answer(folder)
    except GPTQError as e:
        text = str(e)
        assert '\n' not in text and text.isprintable(), text
        assert any(word in text for word in (folder.name, 'safetensors', '.json')), text
        assert compare_verdicts(seen, text) is None, compare_verdicts(seen, text)
        return 'refused'
    assert seen is None, f'loaded, though inspect says: {seen}'
    assert allowed != REFUSED, 'loaded, though tensors were never filled'
    empty = [n for n, p in model.named_parameters() if p.is_meta]
    assert not empty, empty
    quantised = [n for n, m in model.named_modules() if isinstance(m, GPTQLinear)]
    assert len(quantised) == 7, quantised
    found = logits()
    if allowed == FILLED:
        return 'loaded'
    assert found.isfinite().all(), 'answers are not finite'
    if allowed == SAME:
        assert torch.allclose(found, right, atol=1e-3), f'answers differ by {(found - right).abs().max()}'
    return 'loaded'


def cases(seed, first):
    """(seed, case) without end, or those that are kept and then new ones."""
    if seed == 'kept':
        yield from (line.split()[:2] for line in KEPT.read_text().splitlines() if line and line[0] != '#')
        seed = '2023'
    case = first
    while True:
        yield seed, str(case)
        case += 1


def try_case(folder, origin, right, seed, case, start):
    """'refused' or 'loaded', and None; or what was wrong."""
    rng = random.Random(f'{seed} {case}')
    before, what = peak(), 'nothing yet'
    faulthandler.dump_traceback_later(2 * SECONDS_A_CASE, exit=True)  # where no signal is looked at
    start()
    try:
        what, allowed = damage(folder, rng)
        found = verdict(folder, allowed, right)
        assert peak() - before < MEMORY_A_CASE, f'{(peak() - before) >> 20} MB'
        return found, None
    except KeyboardInterrupt:
        raise
    except BaseException as e:  # a panic of Rust is no Exception
        return None, f'seed {seed} case {case}, {origin.name}: {what}: {type(e).__name__}: {str(e)[:300]}'
    finally:
        faulthandler.cancel_dump_traceback_later()


@torch.inference_mode()
def main(count, seconds, seed, first=0):
    logging.disable(logging.CRITICAL)
    tally, faults = collections.Counter(), []
    with tempfile.TemporaryDirectory() as scratch, limited(SECONDS_A_CASE, ADDRESS_SPACE) as start:
        whole = [(f, answer(f)[1]()) for f in make_folders(Path(scratch))]
        until = time.monotonic() + seconds
        for number, (of, case) in enumerate(cases(seed, first)):
            if (time.monotonic() > until and number >= MIN_CASES) or len(faults) == 20 or number == count:
                break
            origin, right = random.Random(f'folder of {of} {case}').choice(whole)
            folder = Path(scratch) / 'airoboros-damaged-GPTQ'
            shutil.copytree(origin, folder)
            found, fault = try_case(folder, origin, right, of, case, start)
            tally.update([found] if found else [])
            faults += [fault] if fault else []
            shutil.rmtree(folder)
    print(json.dumps({'tally': tally, 'faults': faults, 'peak_MB': peak() >> 20}))


if __name__ == '__main__':
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else 0)
