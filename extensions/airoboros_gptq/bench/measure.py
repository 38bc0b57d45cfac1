"""The order of measurements: loading and its memory first, before anything else is allocated; then all engines in turns."""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ..kernels.cpu.bindings import unavailable_reason
from ..kernels.cpu.library_cache import will_compile
from ..preflight.folder_summary import FolderSummary, read_summary
from .busy import decode_beside_busy_process
from .clock import clock_name
from .engines.process import OWN_KERNELS, EngineProcess
from .engines.protocol import Engine
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
_RESERVED = 256  # tokens of the context that are kept free for what is decoded

Report = dict[str, Any]
Runs = dict[int, list[float]]  # seconds of each run, by prompt or context length
Step = Callable[[str], None]


def measure(folder: Path, args: argparse.Namespace, step: Callable[[str, int], None]) -> Report:
    """The report of a folder, as `--json` writes it. `step(name, total)` is called as each of `total` steps begins. Raises
    GPTQError.
    """
    if args.threads:
        torch.set_num_threads(args.threads)
    summary = read_summary(folder, args.checkpoint)
    prefills, contexts = lengths(args.quick, summary.context_length)
    device = args.device or ('cuda:0' if torch.cuda.is_available() else 'cpu')
    steps = 7 + args.busy + len(args.against) + len(prefills) + len(contexts)

    def begin(name: str) -> None:
        step(name, steps)

    report: Report = {
        'format': 1,
        'date': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'machine': describe(device, torch.get_num_threads()),
        'model': {
            'name': folder.name,
            'bits': summary.quantization.values('bits')[0],
            'group_size': summary.quantization.values('group_size')[0],
            'desc_act': any(summary.quantization.values('desc_act')),
            'size': summary.checkpoint.size,
        },
    }
    own = _load(report, summary, args, device, begin)
    others: list[EngineProcess] = []
    try:
        for name in args.against:
            begin(f'starting {name}')
            python = sys.executable if name in OWN_KERNELS else args.against_python
            others.append(EngineProcess(name, python, folder, device, torch.get_num_threads()))
        engines: list[OwnEngine | EngineProcess] = [own, *others]
        rounds = (3 if args.quick else 5) if others else (1 if args.quick else 3)
        count = _tokens_per_run(own, contexts[0], 0.5 if args.quick else 2.0)
        warm_up = device.startswith('cuda')  # libraries choose a kernel for each new size
        prefill, decode = _run_all(engines, prefills, contexts, rounds, count, warm_up, begin)
    finally:
        for other in others:
            other.close()
    report['memory'] |= {'peak': peak_memory(device), 'caches': own.cache_bytes()}
    begin('second turn')
    report['second_turn'] = _second_turn(own, max(contexts), rounds)
    begin('generate()')
    report['generate'] = _generate(own, contexts[0], count, rounds)
    if args.busy:
        begin('decode beside a busy process')
        report['busy'] = decode_beside_busy_process(own, contexts[0], count, 2 * rounds + 1)
    begin('memory bandwidth')
    report['bandwidth'] = read_bandwidth(device)
    report['engines'] = [
        {'name': engine.name, **_figures(engine.about, prefill[i], decode[i], count, summary, report['bandwidth'])}
        for i, engine in enumerate(engines)
    ]
    begin('loading from disk')
    report['load'] |= _load_from_disk(own, summary, args, device)
    return report


def lengths(quick: bool, context: int | None) -> tuple[list[int], list[int]]:
    """(prompt lengths, context lengths to decode at) that fit into the model's context of `context` tokens."""
    longest = (context or 2048) - _RESERVED
    prefills = [n for n in (PREFILLS[:1] if quick else PREFILLS) if n <= longest] or [longest]
    contexts = [n for n in ((CONTEXTS[0], PREFILLS[0]) if quick else CONTEXTS) if n <= longest] or [longest]
    return prefills, contexts


def _import_architecture(folder: Path) -> None:
    """Builds the model without weights and drops it, so that importing its Python modules does not count as loading."""
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    with init_empty_weights():
        AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))  # type: ignore[no-untyped-call]


def _load(report: Report, summary: FolderSummary, args: argparse.Namespace, device: str, begin: Step) -> OwnEngine:
    compiles = device == 'cpu' and will_compile()
    begin('compiling the CPU kernel, which is done once' if compiles else 'importing the architecture')
    if compiles:
        unavailable_reason()  # does it, so that it does not count as loading
    _import_architecture(summary.folder)
    begin('reading the file')
    paths = [file.path for file in summary.checkpoint.files]
    file_seconds, into_memory = file_read_seconds(paths), file_into_memory_seconds(paths)
    reset_peak_memory(device)
    before = peak_memory(device)
    begin('loading')
    own = OwnEngine(summary.folder, device, args.kernel, args.checkpoint)
    if own.instructions:
        report['machine']['kernel_instructions'] = own.instructions
    report['load'] = {
        'seconds': own.load_seconds,
        'gb_per_second': summary.checkpoint.size / own.load_seconds / 1e9,
        'file_read_seconds': file_seconds,
        'ratio': own.load_seconds / file_seconds,
        'file_into_memory_seconds': into_memory,
        'ratio_into_memory': own.load_seconds / into_memory,
    }
    report['memory'] = {'before': before, 'loaded': peak_memory(device)}
    return own


def _load_from_disk(own: OwnEngine, summary: FolderSummary, args: argparse.Namespace, device: str) -> Report:
    """Loading and reading with the file in no cache, as after a restart; {} where the system cannot drop its cache."""
    paths = [file.path for file in summary.checkpoint.files]
    own.unload()
    if clock_name() == 'processor' or not drop_file_cache(paths):
        return {}
    file_seconds = file_read_seconds(paths, times=1)
    drop_file_cache(paths)
    seconds = OwnEngine(summary.folder, device, args.kernel, args.checkpoint).load_seconds
    return {'from_disk': {'seconds': seconds, 'file_read_seconds': file_seconds, 'ratio': seconds / file_seconds}}


def _tokens_per_run(own: OwnEngine, context: int, seconds: float) -> int:
    """How many tokens take about `seconds`. The first two warm up."""
    own.decode(context, 2)
    return max(4, min(128, int(4 * seconds / own.decode(context, 4))))


def _run_all(
    engines: Sequence[Engine],
    prefills: list[int],
    contexts: list[int],
    rounds: int,
    count: int,
    warm_up: bool,
    begin: Step,
) -> tuple[list[Runs], list[Runs]]:
    """(prefill runs, decode runs) of each engine. A decode run is `count` tokens."""
    prefill: list[Runs] = [{n: [] for n in prefills} for _ in engines]
    decode: list[Runs] = [{n: [] for n in contexts} for _ in engines]
    for n in sorted({*prefills, *contexts}):
        if n in prefills:
            begin(f'prefill of {n} tokens')
            if warm_up:
                for engine in engines:
                    engine.prefill(n)
            for i, engine in _alternate(engines, rounds):
                prefill[i][n].append(engine.prefill(n))
        if n in contexts:
            begin(f'decode at {n} tokens')
            for engine in engines:
                engine.decode(n, 1)  # prefills, unless the cache is there
            for i, engine in _alternate(engines, rounds):
                decode[i][n].append(engine.decode(n, count))
    return prefill, decode


def _alternate(engines: Sequence[Engine], rounds: int) -> Iterator[tuple[int, Engine]]:
    """(index, engine) of every engine, round after round, until the rounds or the time are over."""
    end = time.perf_counter() + _TIME_LIMITS[len(engines) > 1]
    for _ in range(rounds):
        yield from enumerate(engines)
        if time.perf_counter() > end:
            return


def _second_turn(own: OwnEngine, history: int, rounds: int) -> Report:
    new = min(_NEW_TOKENS, history)
    runs = [own.second_turn(history, new) for _ in _alternate([own], rounds)]
    second, alone = (min(seconds) for seconds in zip(*runs, strict=True))
    return {
        'history': history,
        'new': new,
        'seconds_to_first_token': second,
        'prefill_of_new_alone': alone,
        'ratio': second / alone,
    }


def _generate(own: OwnEngine, context: int, count: int, rounds: int) -> Report:
    """generate() and the bare forward pass in alternating runs: the cost of its loop."""
    loop, bare = [], []
    for _ in range(max(rounds, 2)):
        bare.append(own.decode(context, count) / count)
        loop.append(own.generate(context, count) / count)
    return {
        'context': context,
        'tokens_per_second': 1 / min(loop),
        'overhead_milliseconds': 1000 * (min(loop) - min(bare)),
    }


def _figures(
    about: Report, prefill: Runs, decode: Runs, count: int, summary: FolderSummary, bandwidth: float
) -> Report:
    config, specs = summary.hf_config or {}, summary.quantization.specs
    traffic = {n: bytes_per_token(specs, config, n) for n in decode}
    if weights := about.get('weight_bytes_per_token'):  # the engine's own format has other sizes
        traffic = {n: weights + t - bytes_per_token(specs, config, 0) for n, t in traffic.items()}
    return {
        **about,
        'prefill': {str(n): prefill_figure(runs, n) for n, runs in prefill.items()},
        'decode': {str(n): decode_figure(runs, count, traffic[n], bandwidth) for n, runs in decode.items()},
    }
