"""The order of measurements: memory first, before anything else is allocated; then engines alternate, round by round."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..checkpoint.hf_config import read_json
from ..preflight.folder_summary import FolderSummary, read_summary
from .clock import clock_name
from .engines.process import OWN_KERNELS, EngineProcess
from .machine import (
    describe,
    drop_file_cache,
    file_into_memory_seconds,
    file_read_seconds,
    peak_memory,
    read_bandwidth,
    reset_peak_memory,
)
from .own_engine import OwnEngine
from .report import decode_figure, prefill_figure
from .traffic import bytes_per_token

PREFILLS = (64, 512, 1500)
CONTEXTS = (16, 1500)
_NEW_TOKENS = 64  # of the second turn
_TIME_LIMITS = (20.0, 75.0)  # seconds after which no further round begins: alone, and with other engines
_RESERVED = 256  # tokens that come after the longest prompt


def measure(folder: Path, args, step: Callable[[str, int], None]) -> dict:
    """The report of a folder, as `--json` writes it. `step(name, total)` is called as each step begins."""
    if args.threads:
        torch.set_num_threads(args.threads)
    facts = read_summary(folder, args.checkpoint)
    prefills, contexts = lengths(args.quick, facts.context_length)
    device = args.device or ('cuda:0' if torch.cuda.is_available() else 'cpu')
    steps = 6 + len(args.against) + len(prefills) + len(contexts)
    report: dict[str, Any] = {
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
    own = _load(report, facts, args, device, lambda what: step(what, steps))
    engines: list = [own]
    try:
        for name in args.against:
            step(f'starting {name}', steps)
            python = sys.executable if name in OWN_KERNELS else args.against_python
            engines.append(EngineProcess(name, python, folder, device, torch.get_num_threads()))
        rounds = (1 if args.quick else 3) if len(engines) == 1 else (3 if args.quick else 5)
        count = _tokens_per_run(own, contexts[0], 0.5 if args.quick else 2.0)
        prefill, decode = _run_all(engines, prefills, contexts, rounds, count, lambda what: step(what, steps))
    finally:
        for engine in engines[1:]:
            engine.close()
    report['memory'] |= {'peak': peak_memory(device), 'caches': own.cache_bytes()}
    step('second turn', steps)
    report['second_turn'] = _second_turn(own, max(contexts), rounds)
    step('generate()', steps)
    report['generate'] = _generate(own, contexts[0], count, rounds)
    step('memory bandwidth', steps)
    report['bandwidth'] = read_bandwidth(device)
    report['engines'] = [_figures(e, prefill[e], decode[e], count, facts, report['bandwidth']) for e in engines]
    step('loading from the disk', steps)
    report['load'] |= _load_from_disk(own, facts, args, device)
    return report


def lengths(quick: bool, context: int | None) -> tuple[list[int], list[int]]:
    """Lengths of prompts, and of contexts to decode at, that a model's own context has room for."""
    longest = (context or 2048) - _RESERVED
    prefills = [n for n in (PREFILLS[:1] if quick else PREFILLS) if n <= longest] or [longest]
    contexts = [n for n in ((CONTEXTS[0], PREFILLS[0]) if quick else CONTEXTS) if n <= longest] or [longest]
    return prefills, contexts


def _import_architecture(folder: Path) -> None:
    """Builds the model without weights and lets it go: importing Python modules is no part of loading."""
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    with init_empty_weights():
        AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))


def _load(report: dict, facts: FolderSummary, args, device: str, step) -> OwnEngine:
    step('reading the file')
    _import_architecture(facts.folder)
    paths = [file.path for file in facts.checkpoint.files]
    file_seconds, into_memory = file_read_seconds(paths), file_into_memory_seconds(paths)
    reset_peak_memory(device)
    before = peak_memory(device)
    step('loading')
    own = OwnEngine(facts.folder, device, args.kernel, args.checkpoint, lambda done, total: None)
    if instructions := own.instructions:
        report['machine']['kernel_instructions'] = instructions
    report['load'] = {
        'seconds': own.load_seconds,
        'gb_per_second': facts.checkpoint.size / own.load_seconds / 1e9,
        'file_read_seconds': file_seconds,
        'ratio': own.load_seconds / file_seconds,
        'file_into_memory_seconds': into_memory,
        'ratio_into_memory': own.load_seconds / into_memory,
    }
    report['memory'] = {'before': before, 'loaded': peak_memory(device)}
    return own


def _load_from_disk(own: OwnEngine, facts: FolderSummary, args, device: str) -> dict:
    """Loading and reading with nothing of the file in memory, as after a restart; nothing where that cannot be had."""
    paths = [file.path for file in facts.checkpoint.files]
    own.unload()
    if clock_name() == 'processor' or not drop_file_cache(paths):
        return {}
    read = file_read_seconds(paths, times=1)
    drop_file_cache(paths)
    seconds = OwnEngine(facts.folder, device, args.kernel, args.checkpoint, lambda done, total: None).load_seconds
    return {'from_disk': {'seconds': seconds, 'file_read_seconds': read, 'ratio': seconds / read}}


def _tokens_per_run(own: OwnEngine, context: int, seconds: float) -> int:
    """How many tokens take about that long. The first of all warm up."""
    own.decode(context, 2)
    return max(4, min(128, int(4 * seconds / own.decode(context, 4))))


def _run_all(engines: list, prefills: list[int], contexts: list[int], rounds: int, count: int, step):
    """(prefill, decode): seconds of each run, by engine and length."""
    prefill: dict[Any, dict[int, list[float]]] = {e: {n: [] for n in prefills} for e in engines}
    decode: dict[Any, dict[int, list[float]]] = {e: {n: [] for n in contexts} for e in engines}
    for n in sorted({*prefills, *contexts}):
        if n in prefills:
            step(f'prefill of {n}')
            if engines[0].device.startswith('cuda'):  # libraries search kernels for a new size
                for e in engines:
                    e.prefill(n)
            _alternate(engines, rounds, lambda e, n=n: prefill[e][n].append(e.prefill(n)))
        if n in contexts:
            step(f'decode at {n}')
            for e in engines:
                e.decode(n, 1)  # reads the prompt, unless it is in the cache
            _alternate(engines, rounds, lambda e, n=n: decode[e][n].append(e.decode(n, count)))
    return prefill, decode


def _alternate(engines: list, rounds: int, run) -> None:
    """Every engine once, round after round."""
    end = time.perf_counter() + _TIME_LIMITS[len(engines) > 1]
    for _ in range(rounds):
        for engine in engines:
            run(engine)
        if time.perf_counter() > end:
            return


def _second_turn(own: OwnEngine, history: int, rounds: int) -> dict:
    new = min(_NEW_TOKENS, history)
    runs = []
    _alternate([own], rounds, lambda engine: runs.append(engine.second_turn(history, new)))
    together, alone = (min(seconds) for seconds in zip(*runs, strict=True))
    return {
        'history': history,
        'new': new,
        'seconds_to_first_token': together,
        'prefill_of_new_alone': alone,
        'ratio': together / alone,
    }


def _generate(own: OwnEngine, context: int, count: int, rounds: int) -> dict:
    """generate() and the bare model, alternating: the cost of its loop."""
    loop, bare = [], []
    for _ in range(max(rounds, 2)):
        bare.append(own.decode(context, count) / count)
        loop.append(own.generate(context, count) / count)
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
