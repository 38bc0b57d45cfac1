"""The order of measuring. Memory comes first, while nothing else was allocated; then engines alternate, round by round."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from .. import __version__
from ..checkpoint.hf_config import read_json
from ..preflight.folder_summary import FolderSummary, read_summary
from .clock import clock_name
from .engines import OURS, Rival
from .machine import (
    describe,
    file_into_memory_seconds,
    file_read_seconds,
    forget_files,
    forget_peak,
    peak_memory,
    read_bandwidth,
)
from .own_engine import Ours
from .report import decode_figure, prefill_figure
from .traffic import bytes_per_token

PREFILLS = (64, 512, 1500)
CONTEXTS = (16, 1500)
_NEW_TOKENS = 64  # of the second turn
_ENOUGH = (20.0, 75.0)  # seconds after which no further round begins: alone, and where engines are compared
_ROOM = 256  # tokens that come after the longest prompt


def measure(folder: Path, args, step: Callable[[str, int], None]) -> dict:
    """All figures of a folder, as `--json` writes them. `step(what, total)` is called as each step begins."""
    if args.threads:
        torch.set_num_threads(args.threads)
    facts = read_summary(folder, args.checkpoint)
    prefills, contexts = lengths(args.quick, facts.context_length)
    device = args.device or ('cuda:0' if torch.cuda.is_available() else 'cpu')
    steps = 6 + len(args.against) + len(prefills) + len(contexts)
    report = {
        'format': 1,
        'date': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'machine': describe(device, torch.get_num_threads()),
        'model': {
            'name': folder.name,
            'bits': facts.quantization.values('bits')[0],
            'group_size': facts.quantization.values('group_size')[0],
            'desc_act': any(facts.quantization.values('desc_act')),
            'size': facts.checkpoint.size,
        },
    }
    ours = _load(report, facts, args, device, lambda what: step(what, steps))
    engines: list = [ours]
    try:
        for name in args.against:
            step(f'starting {name}', steps)
            python = sys.executable if name in OURS else args.against_python
            engines.append(Rival(name, python, folder, device, torch.get_num_threads()))
        rounds = (1 if args.quick else 3) if len(engines) == 1 else (3 if args.quick else 5)
        count = _tokens_of_a_run(ours, contexts[0], 0.5 if args.quick else 2.0)
        prefill, decode = _race(engines, prefills, contexts, rounds, count, lambda what: step(what, steps))
    finally:
        for rival in engines[1:]:
            rival.close()
    report['memory'] |= {'peak': peak_memory(device), 'caches': ours.cache_bytes()}
    step('a second turn', steps)
    report['second_turn'] = _second_turn(ours, max(contexts), rounds)
    step('generate()', steps)
    report['generate'] = _generate(ours, contexts[0], count, rounds)
    step('the bandwidth of memory', steps)
    report['bandwidth'] = read_bandwidth(device)
    report['engines'] = [_figures(e, prefill[e], decode[e], count, facts, report['bandwidth']) for e in engines]
    step('loading from the disk', steps)
    report['load'] |= _load_from_disk(ours, facts, args, device)
    return report


def lengths(quick: bool, context: int | None) -> tuple[list[int], list[int]]:
    """Lengths of prompts, and of contexts to decode at, that a model's own context has room for."""
    longest = (context or 2048) - _ROOM
    prefills = [n for n in (PREFILLS[:1] if quick else PREFILLS) if n <= longest] or [longest]
    contexts = [n for n in ((CONTEXTS[0], PREFILLS[0]) if quick else CONTEXTS) if n <= longest] or [longest]
    return prefills, contexts


def _import_architecture(folder: Path) -> None:
    """Builds the model without weights and lets it go: importing Python modules is no part of loading."""
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    with init_empty_weights():
        AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))


def _load(report: dict, facts: FolderSummary, args, device: str, step) -> Ours:
    step('reading the file')
    _import_architecture(facts.folder)
    paths = [header.path for header in facts.checkpoint.headers]
    file_seconds, into_memory = file_read_seconds(paths), file_into_memory_seconds(paths)
    forget_peak(device)
    before = peak_memory(device)
    step('loading')
    ours = Ours(facts.folder, device, args.kernel, args.checkpoint, lambda done, total: None)
    if instructions := ours.instructions:
        report['machine']['kernel_instructions'] = instructions
    report['load'] = {
        'seconds': ours.load_seconds,
        'gb_per_second': facts.checkpoint.size / ours.load_seconds / 1e9,
        'file_read_seconds': file_seconds,
        'ratio': ours.load_seconds / file_seconds,
        'file_into_memory_seconds': into_memory,
        'ratio_into_memory': ours.load_seconds / into_memory,
    }
    report['memory'] = {'before': before, 'loaded': peak_memory(device)}
    return ours


def _load_from_disk(ours: Ours, facts: FolderSummary, args, device: str) -> dict:
    """Loading and reading with nothing of the file in memory, as after a restart; nothing where that cannot be had."""
    paths = [header.path for header in facts.checkpoint.headers]
    ours.let_go()
    if clock_name() == 'processor' or not forget_files(paths):
        return {}
    read = file_read_seconds(paths, times=1)
    forget_files(paths)
    seconds = Ours(facts.folder, device, args.kernel, args.checkpoint, lambda done, total: None).load_seconds
    return {'from_disk': {'seconds': seconds, 'file_read_seconds': read, 'ratio': seconds / read}}


def _tokens_of_a_run(ours: Ours, context: int, seconds: float) -> int:
    """How many tokens take about that long. The first of all warm up."""
    ours.decode(context, 2)
    return max(4, min(128, int(4 * seconds / ours.decode(context, 4))))


def _race(engines: list, prefills: list[int], contexts: list[int], rounds: int, count: int, step):
    """Seconds of each run, by engine and length: (prefill, decode)."""
    prefill = {e: {n: [] for n in prefills} for e in engines}
    decode = {e: {n: [] for n in contexts} for e in engines}
    for n in sorted({*prefills, *contexts}):
        if n in prefills:
            step(f'prefill of {n}')
            if engines[0].device.startswith('cuda'):  # libraries look for the best kernels of a new size
                for e in engines:
                    e.prefill(n)
            _alternate(engines, rounds, lambda e, n=n: prefill[e][n].append(e.prefill(n)))
        if n in contexts:
            step(f'decode at {n}')
            for e in engines:
                e.decode(n, 1)  # reads the prompt, where it was not the last to be read
            _alternate(engines, rounds, lambda e, n=n: decode[e][n].append(e.decode(n, count)))
    return prefill, decode


def _alternate(engines: list, rounds: int, run) -> None:
    """Every engine once, round after round."""
    end = time.perf_counter() + _ENOUGH[len(engines) > 1]
    for _ in range(rounds):
        for engine in engines:
            run(engine)
        if time.perf_counter() > end:
            return


def _second_turn(ours: Ours, history: int, rounds: int) -> dict:
    new = min(_NEW_TOKENS, history)
    runs = []
    _alternate([ours], rounds, lambda engine: runs.append(engine.second_turn(history, new)))
    together, alone = (min(seconds) for seconds in zip(*runs, strict=True))
    return {
        'history': history,
        'new': new,
        'seconds_to_first_token': together,
        'prefill_of_new_alone': alone,
        'ratio': together / alone,
    }


def _generate(ours: Ours, context: int, count: int, rounds: int) -> dict:
    """generate() and the bare model, alternating: what the loop of transformers costs."""
    loop, bare = [], []
    for _ in range(max(rounds, 2)):
        bare.append(ours.decode(context, count) / count)
        loop.append(ours.generate(context, count) / count)
    return {
        'context': context,
        'tokens_per_second': 1 / min(loop),
        'overhead_milliseconds': 1000 * (min(loop) - min(bare)),
    }


def _figures(engine, prefill: dict, decode: dict, count: int, facts: FolderSummary, bandwidth: float) -> dict:
    config = read_json(facts.folder / 'config.json')
    about = getattr(engine, 'about', None) or {'version': __version__, 'running': engine.running}
    traffic = {n: bytes_per_token(facts.quantization.specs, config, n) for n in decode}
    if own := about.get('weight_bytes_per_token'):
        traffic = {n: own + t - bytes_per_token(facts.quantization.specs, config, 0) for n, t in traffic.items()}
    return {
        'name': engine.name,
        **about,
        'prefill': {str(n): prefill_figure(runs, n) for n, runs in prefill.items()},
        'decode': {str(n): decode_figure(runs, count, traffic[n], bandwidth) for n, runs in decode.items()},
    }
