"""`python -m airoboros_gptq bench`: its options, and where the report goes. Imports torch only when it measures."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..checkpoint.linear_spec import BITS
from ..errors import GPTQError
from ..kernels.rules import KERNEL_NAMES, resolve_kernel_name
from ..real_model.source import model_folder
from ..util.formatting import format_bytes
from .clock import use_processor_time
from .engines.process import ENGINES, OWN_KERNELS, require_packages
from .shapes import SHAPES
from .synthetic import synthetic_folder


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `bench` to the command line's subparsers."""
    bench = commands.add_parser('bench', help='measure loading, prefill and decode, beside other engines')
    bench.add_argument('model', nargs='?', metavar='MODEL', help='a GPTQ folder, or a Hugging Face repository')
    bench.add_argument('--synthetic', choices=SHAPES, help='random weights in real shapes, kept in the cache folder')
    bench.add_argument('--real-model', action='store_true', help='SmolLM2-135M-Instruct, which `real-model` has got')
    bench.add_argument('--act-order', action='store_true', help='with --synthetic: act-order (desc_act)')
    bench.add_argument('--bits', type=int, choices=BITS, default=4, help='with --synthetic (default: 4)')
    bench.add_argument('--group-size', type=int, default=128, help='with --synthetic (default: 128)')
    bench.add_argument('--checkpoint', help='which file, where the folder holds several')
    bench.add_argument(
        '--against',
        action='append',
        choices=ENGINES,
        default=[],
        help='another engine, in alternating rounds; may be repeated',
    )
    bench.add_argument(
        '--against-python', default=sys.executable, metavar='PATH', help='the Python of an environment with that engine'
    )
    bench.add_argument('--kernel', type=resolve_kernel_name, choices=KERNEL_NAMES, default='auto', help='default: auto')
    bench.add_argument('--device', help='cpu, cuda:0, ... (default: a GPU where there is one)')
    bench.add_argument('--threads', type=int, help='CPU threads (default: as PyTorch chooses)')
    bench.add_argument('--processor-time', action='store_true', help='one thread, by CPU time: for a shared machine')
    bench.add_argument('--busy', action='store_true', help='decode beside a process that takes one core, too')
    bench.add_argument('--quick', action='store_true', help='shorter prompts, fewer rounds')
    bench.add_argument('--json', metavar='FILE', nargs='?', const='-', help='the whole report, to a file or to stdout')
    bench.add_argument('--plot', metavar='FILE.svg', help='a chart of the speeds')
    bench.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measures and reports; returns the exit code. Raises GPTQError."""
    if bool(args.model) + bool(args.synthetic) + args.real_model != 1:
        raise GPTQError(
            'Name one model to measure: a folder, --real-model, or --synthetic 7b for one of random weights.'
        )
    if args.plot and not args.plot.endswith('.svg'):
        raise GPTQError(f'{args.plot} cannot be drawn: a plot is an SVG; name a file that ends in .svg.')
    _say_in_a_pipe('importing libraries')  # before any that takes seconds
    for name in args.against:
        require_packages(name, sys.executable if name in OWN_KERNELS else args.against_python)
    if args.processor_time:
        if str(args.device) != 'cpu':
            raise GPTQError('--processor-time is for CPUs; add --device cpu.')
        if args.busy:
            raise GPTQError('--processor-time does not show what --busy measures; leave one of them out.')
        args.threads = 1
        use_processor_time()
    folder = _folder(args)
    from .measure import measure

    with _Steps() as step:
        report = measure(folder, args, step)
    if args.json == '-':
        print(json.dumps(report, indent=1))
    else:
        from .report import as_text

        print(as_text(report))
        if args.json:
            Path(args.json).write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')
    if args.plot:
        from .plot import draw

        Path(args.plot).write_text(draw([report]), encoding='utf-8')
    return 0


def _folder(args: argparse.Namespace) -> Path:
    if args.real_model:
        if not model_folder().is_dir():
            raise GPTQError(f'{model_folder()} is not there; `python -m airoboros_gptq real-model` gets it.')
        return model_folder()
    if args.synthetic is None:
        from ..checkpoint.hub import resolve_folder

        return resolve_folder(args.model)
    from tqdm import tqdm

    due = 0  # the tenth that a pipe is told of next

    with tqdm(total=None, unit='B', unit_scale=True, desc=f'Making {args.synthetic}', disable=None) as bar:

        def progress(done: int, total: int) -> None:
            nonlocal due
            if bar.disable and done * 10 >= due * total:
                _say_in_a_pipe(f'making {args.synthetic}, {format_bytes(done)} of {format_bytes(total)}')
                due = max(due, done * 10 // total) + 1
            bar.total = total
            bar.update(done - bar.n)

        return synthetic_folder(args.synthetic, args.act_order, args.bits, args.group_size, progress)


def _say_in_a_pipe(step: str) -> None:
    """A line on stderr where that is no terminal, which has bars."""
    if not sys.stderr.isatty():
        print(f'bench: {step}', file=sys.stderr, flush=True)


class _Steps:
    """Says on stderr which step is running: a progress bar in a terminal, a line per step elsewhere."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._done = 0
        self._bar = tqdm(disable=None, bar_format='{desc:<28}{bar}| {n_fmt}/{total_fmt} [{elapsed}]')
        self._bar.set_description_str('importing libraries')

    def __enter__(self) -> _Steps:
        return self

    def __call__(self, name: str, total: int) -> None:
        """Begins the next step, of `total`."""
        self._done += 1
        if self._bar.disable:
            _say_in_a_pipe(f'{self._done}/{total} {name}')
            return
        self._bar.total = total
        self._bar.update()
        self._bar.set_description_str(name)

    def __exit__(self, *error: object) -> None:
        self._bar.close()
