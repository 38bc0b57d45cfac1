"""The command line: chat with a folder, see what was read of it, or how fast it is."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys

from . import __version__
from .bench import command as bench
from .errors import GPTQError
from .kernels.rules import KERNEL_NAMES


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code. GPTQError becomes its sentence on stderr and code 1."""
    args = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING, format='%(message)s', stream=sys.stderr
    )
    try:
        return args.run(args)
    except GPTQError as e:
        print(e, file=sys.stderr)
        return 1
    except BrokenPipeError:  # `inspect DIR | head`: whoever read has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='airoboros_gptq', description='GPTQ models, first of all Airoboros.')
    parser.add_argument('--version', action='version', version=f'%(prog)s {__version__}')
    parser.add_argument('--verbose', action='store_true', help='say what was chosen and why')
    commands = parser.add_subparsers(required=True, metavar='command')

    chat = commands.add_parser('chat', help='chat in the terminal')
    chat.add_argument('--model-path', required=True, metavar='DIR', help='a GPTQ folder, or a Hugging Face repository')
    chat.add_argument('--checkpoint', help='which file, where the folder holds several')
    _add_format(chat)
    chat.add_argument('--kernel', default='auto', help=f'{", ".join(KERNEL_NAMES)} (default: auto)')
    chat.add_argument('--device', help='cpu, cuda:0, ... (default: a GPU where there is one)')
    chat.add_argument('--temperature', type=float, default=0.7, help='0 for greedy (default: 0.7)')
    chat.add_argument('--top-p', type=float, default=0.95, help='default: 0.95')
    chat.add_argument('--repetition-penalty', type=float, default=1.15, help='default: 1.15')
    chat.add_argument('--max-new-tokens', type=int, default=512, help='default: 512')
    chat.add_argument('--seed', type=int, help='the same seed gives the same answers')
    chat.add_argument('--system', default='', help='a system message in place of the trained one')
    chat.add_argument('--no-history', action='store_true', help='every message starts a new conversation')
    chat.add_argument(
        '--plainformat', action='store_true', help='end every message with PLAINFORMAT: bare code comes back'
    )
    chat.set_defaults(run=_chat)

    inspect = commands.add_parser('inspect', help='what a folder holds, without loading it')
    inspect.add_argument('folder')
    inspect.add_argument('--checkpoint', help='which file, where the folder holds several')
    _add_format(inspect)
    inspect.add_argument('--context', type=_positive, metavar='N', help='tokens for the cache line (default: 2048)')
    inspect.add_argument('--device', help='where it is to run, for the memory lines (default: as chat takes it)')
    inspect.add_argument('--json', action='store_true', help='all of it for scripts, errors too')
    inspect.set_defaults(run=_inspect)

    demo = commands.add_parser('demo', help='a chat page in the browser, without a webui')
    demo.add_argument('--model-dir', required=True, metavar='DIR', help='the folder that holds model folders')
    demo.add_argument('--port', type=int, help='default: a free one from 7860')
    demo.add_argument('--no-browser', action='store_true', help='do not open a browser window')
    demo.set_defaults(run=_demo)

    bench.add_parser(commands)
    return parser


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--checkpoint-format',
        choices=('gptq', 'gptq_v2'),
        help='how zero points are stored, less one or as they are (default: as the file shows)',
    )


def _positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _inspect(args) -> int:
    """The facts on stdout, and 1 with a sentence where the folder will not load: what was read is shown even so, but a
    script gets the sentence alone.
    """
    from .checkpoint.hub import resolve_folder
    from .checkpoint.validation import check_loadable
    from .preflight.folder_summary import as_json, as_text, read_summary

    try:
        folder = resolve_folder(args.folder)
        facts = read_summary(folder, args.checkpoint, args.checkpoint_format, context=args.context, device=args.device)
        if not args.json:
            print(as_text(facts))
        check_loadable(folder)
    except GPTQError as e:
        if not args.json:
            raise
        print(json.dumps({'error': str(e)}))
        return 1
    if args.json:
        print(json.dumps(as_json(facts), indent=2))
    return 0


def _demo(args) -> int:
    try:
        from .demo.app import serve
    except ModuleNotFoundError as e:
        raise GPTQError(
            f'The demo page lacks {e.name}; run `python install.py demo` in the folder of the project, which has all of it.'
        ) from e

    return serve(args.model_dir, args.port, open_browser=not args.no_browser)


def _chat(args) -> int:
    from .airoboros.conversation import conversation_prompt
    from .airoboros.plainformat import add_plainformat
    from .checkpoint.hub import resolve_folder
    from .generation.streaming import Sampling, stream
    from .model.load import load
    from .preflight.folder_summary import read_summary

    folder = resolve_folder(args.model_path)
    airoboros = read_summary(folder, args.checkpoint).airoboros
    model, tokenizer = load(
        folder,
        checkpoint=args.checkpoint,
        checkpoint_format=args.checkpoint_format,
        kernel=args.kernel,
        device=args.device,
    )
    sampling = Sampling(args.temperature, args.top_p, args.repetition_penalty, args.max_new_tokens, args.seed)
    if sys.stdin.isatty():
        print('A message may have many lines: an empty line sends it. Ctrl+C stops an answer, Ctrl+D ends.')
    history: list[tuple[str, str | None]] = []
    while (message := _read_message()) is not None:
        if args.plainformat:
            message = add_plainformat(message, airoboros.plainformat_spaces if airoboros else None)
        turns = [*history, (message, None)]
        prompt = conversation_prompt(tokenizer, turns, args.system, airoboros)
        answer = _print_stream(stream(model, tokenizer, prompt, sampling))
        if not args.no_history:
            history.append((message, answer))
    return 0


def _read_message() -> str | None:
    """Lines up to an empty one; None at the end of input. Empty lines before the first are passed over."""
    lines: list[str] = []
    while True:
        if sys.stdin.isatty():
            print('... ' if lines else '\nUSER: ', end='', flush=True)
        line = sys.stdin.readline()
        if line.strip():
            lines.append(line.rstrip('\n'))
        elif lines or not line:
            return '\n'.join(lines) or None


def _print_stream(answers) -> str:
    """Prints an answer as it grows; Ctrl+C ends the answer, not the program."""
    shown = ''
    if sys.stdin.isatty():
        print('ASSISTANT: ', end='', flush=True)
    try:
        for text in answers:
            print(text[len(shown) :], end='', flush=True)
            shown = text
    except KeyboardInterrupt:
        answers.close()
    print(flush=True)
    return shown
