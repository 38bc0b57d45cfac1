"""Other engines, each in a process of its own, which may be of another Python environment.

A worker is a module of this folder that is run with `python -m`. It reads one JSON object per line and answers with one:
{"do": "prefill", "count": 64} or {"do": "decode", "context": 16, "count": 32} with {"seconds": ...}. Its first line, once it
is ready, says what it is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ...errors import GPTQError

# Name: module, what it imports, what to install.
RIVALS = {
    'llama.cpp': ('llama_cpp', ('llama_cpp', 'gguf', 'numpy'), 'llama-cpp-python gguf'),
    'transformers': ('transformers_gptq', ('transformers', 'optimum', 'gptqmodel'), 'optimum gptqmodel'),
    'torch-int4': ('torch_int4', ('torch', 'transformers'), 'torch transformers'),
    'exllamav2': ('exllamav2', ('exllamav2', 'torch'), 'exllamav2'),
}


OURS = ('torch-int4',)  # this loader with another kernel, which runs in our own environment


def require(name: str, python: str) -> None:
    """Raises GPTQError where the environment of `python` lacks what the engine needs."""
    _, imports, install = RIVALS[name]
    script = f'import importlib.util as u, sys; print(*[m for m in {imports} if u.find_spec(m) is None])'
    try:
        done = subprocess.run([python, '-c', script], capture_output=True, text=True, timeout=120)
    except OSError as e:
        raise GPTQError(f'{python} cannot be run ({e}); name a Python with --against-python.') from e
    if missing := done.stdout.strip() or done.stderr.strip():
        raise GPTQError(
            f'--against {name} needs what {python} does not have ({missing.splitlines()[-1]}); install it with '
            f'`pip install {install}`, or name a Python that has it with --against-python.'
        )


class Rival:
    """An engine in its process. Times are seconds, as those of Ours."""

    def __init__(self, name: str, python: str, folder: Path, device: str, threads: int):
        self.name = name
        package_parent = str(Path(__file__).resolve().parents[3])
        paths = os.pathsep.join(p for p in (package_parent, os.environ.get('PYTHONPATH', '')) if p)
        self._process = subprocess.Popen(
            [python, '-m', f'{__name__}.{RIVALS[name][0]}', str(folder), device, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get('AIROBOROS_GPTQ_VERBOSE') else subprocess.DEVNULL,
            text=True,
            env={**os.environ, 'PYTHONPATH': paths},
        )
        self.about = self._answer()

    def prefill(self, count: int) -> float:
        return self._ask(do='prefill', count=count)['seconds']

    def decode(self, context: int, count: int) -> float:
        return self._ask(do='decode', context=context, count=count)['seconds']

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _ask(self, **request) -> dict:
        self._process.stdin.write(json.dumps(request) + '\n')
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {'error': f'its process ended with code {self._process.wait()}'}
        if 'error' in answer:
            raise GPTQError(
                f'{self.name} failed ({answer["error"]}); set AIROBOROS_GPTQ_VERBOSE=1 to see what it prints, or measure '
                'without --against.'
            )
        return answer


class TokenByToken:
    """prefill() and decode() of an engine that takes token ids and gives logits.

    It has `ids` [1, n] of a prompt; start() empties its cache, forward(ids) goes on in it, cut(length) shortens it, now() waits
    for the device and tells seconds.
    """

    held = 0

    def prefill(self, count: int) -> float:
        self.start()
        self.held = count
        begun = self.now()
        self.forward(self.ids[:, :count])
        return self.now() - begun

    def decode(self, context: int, count: int) -> float:
        if self.held != context:
            self.prefill(context)
        token = self.ids[:, context - 1 : context]
        begun = self.now()
        for _ in range(count):
            token = self.forward(token)[:, -1:].argmax(-1).to(self.ids.device)
        seconds = self.now() - begun
        self.cut(context)
        return seconds


def serve(make) -> None:
    """The worker's side: `make(folder, device, threads)` gives an engine with prefill, decode and about."""
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what libraries print must not come between

    def answer(**values) -> None:
        print(json.dumps(values), file=answers, flush=True)

    try:
        engine = make(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
        answer(**engine.about)
        for line in sys.stdin:
            request = json.loads(line)
            answer(seconds=getattr(engine, request.pop('do'))(**request))
    except Exception as e:  # told to the one who asked, in a line
        answer(error=' '.join(f'{type(e).__name__}: {e}'.split()))
