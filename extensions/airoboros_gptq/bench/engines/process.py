"""The benchmark's side of an engine that runs in a process of its own (protocol.py has the worker's side)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import GPTQError


class EngineModule(NamedTuple):
    """A module of this folder, the packages that it imports, and what pip installs for them."""

    module: str
    packages: tuple[str, ...]
    install: str


ENGINES = {
    'llama.cpp': EngineModule('llama_cpp', ('llama_cpp', 'gguf', 'numpy'), 'llama-cpp-python gguf'),
    'transformers': EngineModule('transformers_gptq', ('transformers', 'optimum', 'gptqmodel'), 'optimum gptqmodel'),
    'torch-int4': EngineModule('torch_int4', ('torch', 'transformers'), 'torch transformers'),
    'exllamav2': EngineModule('exllamav2', ('exllamav2', 'torch'), 'exllamav2'),
}
OWN_KERNELS = ('torch-int4',)  # this loader with another kernel, in the running environment


def require_packages(name: str, python: str) -> None:
    """Raises GPTQError where the environment of `python` lacks what the engine imports."""
    engine = ENGINES[name]
    script = f'import importlib.util as u, sys; print(*[m for m in {engine.packages} if u.find_spec(m) is None])'
    try:
        done = subprocess.run([python, '-c', script], capture_output=True, text=True, timeout=120)
    except OSError as e:
        raise GPTQError(f'{python} cannot be run ({e}); name a Python with --against-python.') from e
    if missing := done.stdout.strip() or done.stderr.strip():
        raise GPTQError(
            f'--against {name} needs what {python} does not have ({missing.splitlines()[-1]}); install it with '
            f'`pip install {engine.install}`, or name a Python that has it with --against-python.'
        )


class EngineProcess:
    """An Engine in a process of its own, started with `python`."""

    def __init__(self, name: str, python: str, folder: Path, device: str, threads: int):
        """Starts the process and waits until its model is loaded. Raises GPTQError."""
        self.name = name
        package_parent = str(Path(__file__).resolve().parents[3])
        paths = os.pathsep.join(p for p in (package_parent, os.environ.get('PYTHONPATH', '')) if p)
        self._process = subprocess.Popen(
            [python, '-m', f'{__package__}.{ENGINES[name].module}', str(folder), device, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get('AIROBOROS_GPTQ_VERBOSE') else subprocess.DEVNULL,
            text=True,
            env={**os.environ, 'PYTHONPATH': paths},
        )
        assert self._process.stdin and self._process.stdout
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self.about = self._answer()

    def prefill(self, count: int) -> float:
        return self._seconds(do='prefill', count=count)

    def decode(self, context: int, count: int) -> float:
        return self._seconds(do='decode', context=context, count=count)

    def close(self) -> None:
        """Ends the process."""
        self._requests.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _seconds(self, **request: Any) -> float:
        self._requests.write(json.dumps(request) + '\n')
        self._requests.flush()
        return float(self._answer()['seconds'])

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        answer: dict[str, Any] = (
            json.loads(line) if line else {'error': f'its process ended with code {self._process.wait()}'}
        )
        if 'error' in answer:
            raise GPTQError(
                f'{self.name} failed ({answer["error"]}); set AIROBOROS_GPTQ_VERBOSE=1 to see what it prints, or measure '
                'without --against.'
            )
        return answer
