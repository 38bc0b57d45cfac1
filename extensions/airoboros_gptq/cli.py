"""The command line: `chat`, `inspect`, `demo`, `bench` and `real-model`. torch is imported once a command needs it."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Generator
from importlib.util import find_spec

from . import __version__
from .errors import GPTQError
from .kernels.rules import KERNEL_NAMES


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code. A GPTQError is printed on stderr, and the code is 1."""
    args = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING, format='%(message)s', stream=sys.stderr
    )
    try:
        code: int = args.run(args)
        return code
    except GPTQError as e:
        print(e, file=sys.stderr)
        return 1
    except BrokenPipeError:  # `inspect DIR | head`: the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    from .bench.command import add_parser as add_bench  # no torch yet: their parsers need the standard library only
    from .real_model.command import add_parser as add_real_model

    parser = argparse.ArgumentParser(prog='airoboros_gptq', description='Run GPTQ models, Airoboros above all.')
    parser.add_argument('--version', action='version', version=f'%(prog)s {__version__}')
    parser.add_argument('--verbose', action='store_true', help='log which checkpoint and kernel are used, and why')
    commands = parser.add_subparsers(required=True, metavar='command')

    chat = commands.add_parser('chat', help='chat in the terminal')
    chat.add_argument('--model-path', required=True, metavar='DIR', help='a GPTQ folder or a Hugging Face repository')
    _add_checkpoint(chat)
    chat.add_argument('--kernel', default='auto', help=f'{", ".join(KERNEL_NAMES)} (default: auto)')
    chat.add_argument('--device', help='cpu, cuda:0, ... (default: the first GPU if there is one)')
    chat.add_argument('--temperature', type=float, default=0.7, help='0 for greedy decoding (default: 0.7)')
    chat.add_argument('--top-p', type=float, default=0.95, help='default: 0.95')
    chat.add_argument('--repetition-penalty', type=float, default=1.15, help='default: 1.15')
    chat.add_argument('--max-new-tokens', type=int, default=512, help='default: 512')
    chat.add_argument('--seed', type=int, help='seed of the sampling, for reproducible answers')
    chat.add_argument('--system', default='', help='replaces the system message the model was trained with')
    chat.add_argument('--no-history', action='store_true', help='start a new conversation with every message')
    chat.add_argument('--plainformat', action='store_true', help='end every message with PLAINFORMAT, for bare code')
    chat.set_defaults(run=_chat)

    inspect = commands.add_parser('inspect', help='show what a folder holds, without loading it')
    inspect.add_argument('folder')
    _add_checkpoint(inspect)
    inspect.add_argument('--context', type=_positive, metavar='N', help='tokens of the KV cache (default: 2048)')
    inspect.add_argument('--device', help='device of the memory estimate (default: that of chat)')
    inspect.add_argument('--json', action='store_true', help='print JSON, errors included')
    inspect.add_argument(
        '--trust-remote-code', action='store_true', help='run code that the model brings along, as to load it would'
    )
    inspect.set_defaults(run=_inspect)

    demo = commands.add_parser('demo', help='open a chat page in the browser, without a webui')
    demo.add_argument(
        '--model-dir',
        required=True,
        action='append',
        metavar='DIR',
        help='the folder that holds your model folders; may be repeated',
    )
    demo.add_argument('--model', metavar='NAME', help='the folder to load at once (default: the only one)')
    demo.add_argument('--port', type=_port, help='default: the first free one from 7860')
    demo.add_argument('--no-browser', action='store_true', help='do not open a browser window')
    demo.set_defaults(run=_demo)

    add_bench(commands)
    add_real_model(commands)
    return parser


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--checkpoint', help='the file to load, if the folder holds several')
    parser.add_argument(
        '--checkpoint-format',
        choices=('gptq', 'gptq_v2'),
        help='zero-point encoding: gptq stores zero-1, gptq_v2 stores zero (default: detect)',
    )


def _port(text: str) -> int:
    """A TCP port, for argparse."""
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f'{text} is not a port: it goes from 1 to 65535')
    return number


def _positive(text: str) -> int:
    """An integer of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _inspect(args: argparse.Namespace) -> int:
    """Prints the summary. A folder that cannot be loaded gives code 1 and a sentence on stderr after what could be read;
    with --json the sentence alone, on stdout.
    """
    from .checkpoint.hub import resolve_folder
    from .checkpoint.validation import check_loadable
    from .preflight.folder_summary import as_json, as_text, read_summary

    try:
        folder = resolve_folder(args.folder, trust_remote_code=args.trust_remote_code)
        summary = read_summary(
            folder, args.checkpoint, args.checkpoint_format, context=args.context, device=args.device
        )
        if not args.json:
            print(as_text(summary))
        check_loadable(folder, summary.hf_config, len(summary.checkpoint.tensors), args.trust_remote_code)
        if find_spec('torch') is not None and find_spec('transformers') is not None:
            from .model.build import check_folder  # seconds, so after what could be printed without it

            check_folder(summary, args.trust_remote_code)
    except GPTQError as e:
        if not args.json:
            raise
        print(json.dumps({'error': str(e)}))
        return 1
    if args.json:
        print(json.dumps(as_json(summary), indent=2))
    return 0


def _demo(args: argparse.Namespace) -> int:
    print('Starting the demo page ...', file=sys.stderr, flush=True)
    try:
        from .demo.app import serve
    except ModuleNotFoundError as e:
        raise GPTQError(
            f'The demo page needs {e.name}, which is not installed; run `python install.py demo` in the project folder.'
        ) from e

    return serve(args.model_dir, args.port, not args.no_browser, args.model)


def _chat(args: argparse.Namespace) -> int:
    from .airoboros.conversation import conversation_prompt, missing_template
    from .airoboros.plainformat import add_plainformat
    from .checkpoint.hub import resolve_folder
    from .generation.streaming import Sampling, stream
    from .model.load import load
    from .preflight.folder_summary import read_summary

    summary = read_summary(resolve_folder(args.model_path), args.checkpoint, args.checkpoint_format)
    airoboros = summary.airoboros
    model, tokenizer = load(summary, kernel=args.kernel, device=args.device)
    sampling = Sampling(args.temperature, args.top_p, args.repetition_penalty, args.max_new_tokens, args.seed)
    sentence = missing_template(tokenizer, airoboros)
    if sentence:
        print(sentence, file=sys.stderr)
    if sys.stdin.isatty():
        print('End a message with an empty line. Ctrl+C stops an answer, Ctrl+D quits.')
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
    """Lines up to an empty one, without leading empty lines; None at the end of input."""
    lines: list[str] = []
    while True:
        if sys.stdin.isatty():
            print('... ' if lines else '\nUSER: ', end='', flush=True)
        line = sys.stdin.readline()
        if line.strip():
            lines.append(line.rstrip('\n'))
        elif lines or not line:
            return '\n'.join(lines) or None


def _print_stream(texts: Generator[str, None, None]) -> str:
    """Prints an answer as it grows and returns it; Ctrl+C ends the answer, not the program."""
    printed = ''
    if sys.stdin.isatty():
        print('ASSISTANT: ', end='', flush=True)
    try:
        for text in texts:
            print(text[len(printed) :], end='', flush=True)
            printed = text
    except KeyboardInterrupt:
        texts.close()
    print(flush=True)
    return printed
