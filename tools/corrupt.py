"""python tools/corrupt.py COUNT SECONDS SEED: damages folders and loads them, each within a time limit, until there were
COUNT or the SECONDS are over. Prints what was found, as JSON; a hang or a crash ends the process before it can.
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
from airoboros_gptq.preflight.folder_summary import read_summary
from corruptions import FILLED, SAME, damage, make_folders

SECONDS_A_CASE = 30
IDS = torch.tensor([[1, 20, 300, 77, 512, 4]])


def answer(folder):
    model, _ = load(folder, device='cpu', progress=lambda done, total: None)
    return model, lambda: model(IDS).logits


def verdict(folder, allowed, right):
    """'refused' or 'loaded'; raises AssertionError, or whatever the loader should not have raised."""
    is_gptq_folder(folder)
    try:
        read_summary(folder)
    except GPTQError as e:
        assert '\n' not in str(e), e
    try:
        model, logits = answer(folder)
    except GPTQError as e:
        text = str(e)
        assert '\n' not in text and text.isprintable(), text
        assert any(word in text for word in (folder.name, 'safetensors', '.json')), text
        return 'refused'
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


@torch.inference_mode()
def main(count, seconds, seed):
    logging.disable(logging.CRITICAL)
    until, tally, faults = time.monotonic() + seconds, collections.Counter(), []
    with tempfile.TemporaryDirectory() as scratch:
        whole = [(f, answer(f)[1]()) for f in make_folders(Path(scratch))]
        for case in range(count):
            if time.monotonic() > until or len(faults) == 20:
                break
            rng = random.Random(f'{seed} {case}')
            origin, right = rng.choice(whole)
            folder = Path(scratch) / 'airoboros-damaged-GPTQ'
            shutil.copytree(origin, folder)
            faulthandler.dump_traceback_later(SECONDS_A_CASE, exit=True)
            what = 'nothing yet'
            try:
                what, allowed = damage(folder, rng)
                tally[verdict(folder, allowed, right)] += 1
            except KeyboardInterrupt:
                raise
            except BaseException as e:  # a panic of Rust is no Exception
                faults.append(f'seed {seed} case {case}, {origin.name}: {what}: {type(e).__name__}: {str(e)[:300]}')
            faulthandler.cancel_dump_traceback_later()
            shutil.rmtree(folder)
    print(json.dumps({'tally': tally, 'faults': faults}))


if __name__ == '__main__':
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
