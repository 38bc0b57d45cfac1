"""Soaks a running webui through its API: clients that chat, stream, stop, send nonsense and vanish, for minutes.

    python tools/soak.py API MODEL [--pid PID] [--minutes 30] [--clients 4] [--loads] [--template FILE] [--json FILE]

    python tools/soak.py http://127.0.0.1:5000 airoboros-tiny-gpt4-1.2-GPTQ --pid 1234 --minutes 30

The webui runs with --api, and MODEL, a small one, lies in its models folder. Answers are greedy: each is compared with what
the same question got before the soak. About half of the clients vanish: before the first token, between tokens, during the
prompt, or while they wait for another's answer. None of them may keep the webui from answering the others. With --loads
they also load and unload models meanwhile, so that answers may be missing, but never another question's.

The report has the requests by kind, the errors, each wait over 60 s, and the server's memory before and after (--pid).
--template is a file of instruction-templates/, for a webui without this extension; tools/dequantise.py writes the twin of
a GPTQ folder that such a webui loads. Exits with 1 where a client waited over 60 s, got another question's answer, or an
error that it should not get.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import http.client
import json
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

LONG_WAIT = 60.0  # seconds after which a client counts as one that waited too long
TIMEOUT = 300.0  # seconds after which a client gives up
LONG_ANSWER = {'max_tokens': 200, 'ban_eos_token': True}

QUESTIONS = [
    *(f'What is {a} plus {b}?' for a, b in ((12, 7), (31, 5), (44, 21), (8, 9), (15, 15), (23, 42))),
    *(f'What is the capital of {country}?' for country in ('France', 'Japan', 'Italy', 'Germany', 'Spain', 'Egypt')),
    *('Write a Python function that adds two numbers.', 'Hello', 'Who are you?'),
]
LONG_PROMPT = ' '.join(QUESTIONS * 8)  # about 1,000 tokens
WRONG_BODIES: list[dict[str, Any]] = [
    *({'messages': messages} for messages in ([], 'x', [{'role': 'x'}], [{'role': 'user', 'content': None}])),
    *(
        {'messages': [{'role': 'user', 'content': 'Hello'}], **wrong}
        for wrong in ({'max_tokens': -5}, {'temperature': 'x'})
    ),
    {},
]
LOAD_OPTIONS: list[dict[str, Any]] = [
    {},
    {},
    {'gptq_kernel': 'reference'},
    {'gptq_checkpoint': ['x']},
    {'gptq_kernel': 'no'},
]


class Api:
    """The API of one webui. Each call has a connection of its own, as clients have."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or '127.0.0.1', parts.port or 5000

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> http.client.HTTPConnection:
        """A connection over which the request went out; nothing is read yet."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        text = None if body is None else json.dumps(body)
        connection.request(method, '/v1' + path, text, {'Content-Type': 'application/json'})
        return connection

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """(HTTP status, the JSON or text of the answer)"""
        connection = self.send(method, path, body)
        try:
            response = connection.getresponse()
            text = response.read().decode('utf-8', 'replace')
        finally:
            connection.close()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text

    def stream(self, path: str, body: dict[str, Any], chunks: int | None = None) -> str | None:
        """The text of a streamed answer; None where the client vanished after so many `chunks`."""
        connection = self.send('POST', path, {**body, 'stream': True})
        response = connection.getresponse()
        text, seen = '', 0
        while chunks is None or seen < chunks:
            line = response.readline()
            if not line or line.strip() == b'data: [DONE]':
                connection.close()
                return text
            if line.startswith(b'data:'):
                choice = (json.loads(line[5:])['choices'] or [{}])[0]
                text += choice.get('delta', {}).get('content') or choice.get('text') or ''
                seen += 1
        vanish(connection)
        return None


def vanish(connection: http.client.HTTPConnection) -> None:
    """Ends a connection as a client that was killed."""
    if connection.sock is not None:
        connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()


def chat_body(*messages: str, **options: Any) -> dict[str, Any]:
    """A greedy chat request; `messages` are of user and assistant in turn."""
    roles = ('user', 'assistant')
    conversation = [{'role': roles[i % 2], 'content': text} for i, text in enumerate(messages)]
    greedy = {'temperature': 0, 'do_sample': False, 'top_k': 1, 'seed': 1, 'mode': 'instruct'}
    return {'messages': conversation, 'max_tokens': 24, **greedy, **options}


@dataclasses.dataclass
class Report:
    """What the clients saw, written by all of them."""

    requests: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    errors: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    long_waits: list[str] = dataclasses.field(default_factory=list)
    longest_wait: float = 0.0  # seconds
    wrong_answers: list[str] = dataclasses.field(default_factory=list)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def add(self, kind: str, seconds: float, error: str = '', wrong_answer: str = '') -> None:
        with self.lock:
            self.requests[kind] += 1
            self.longest_wait = max(self.longest_wait, seconds)
            if seconds > LONG_WAIT:
                self.long_waits.append(f'{kind}: {seconds:.0f} s at {time.strftime("%H:%M:%S")}')
                print('waited', self.long_waits[-1], flush=True)
            if error:
                self.errors[f'{kind}: {error}'] += 1
            if wrong_answer:
                self.wrong_answers.append(wrong_answer)


class Soak:
    """Clients of one webui, which has loaded one model."""

    def __init__(self, api: Api, model: str, template: str | None, loads: bool) -> None:
        self.api, self.model, self.template, self.loads = api, model, template, loads
        self.report = Report()
        self.answers: dict[tuple[str, ...], str] = {}
        # Kinds of requests and their shares.
        self.kinds: list[tuple[float, Callable[[random.Random], str]]] = [
            (18, self._chat),
            (12, self._second_turn),
            (15, self._whole_stream),
            (20, self._cut_stream),
            (8, self._cut_completion),
            (12, self._gone_at_once),
            (6, self._completion),
            (3, self._stop),
            (3, self._info),
            (3, self._nonsense),
            *([(2.0, self._load), (0.5, self._unload)] if loads else []),
        ]

    def load(self, **options: Any) -> tuple[int, Any]:
        template = {'instruction_template_str': self.template} if self.template else {}
        return self.api.call('POST', '/internal/model/load', {'model_name': self.model, 'args': options, **template})

    def ask_first(self) -> None:
        """Loads the model and asks each question and a second turn, one after the other."""
        status, said = self.load()
        if status != 200:
            raise SystemExit(f'{self.model} was not loaded: {status} {said}')
        for question in QUESTIONS:
            self.answers[(question,)] = self._ask(question)
        for i, question in enumerate(QUESTIONS):
            turns = question, self.answers[(question,)], QUESTIONS[(i + 3) % len(QUESTIONS)]
            self.answers[turns] = self._ask(*turns)

    def run(self, seconds: float, clients: int) -> None:
        """So many clients at once, each one request after the other."""
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._client, args=(seed, end), daemon=True) for seed in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()) + 2 * TIMEOUT)
        for _ in (thread for thread in threads if thread.is_alive()):
            self.report.add('a client that never ended', TIMEOUT, 'hangs')

    def _client(self, seed: int, end: float) -> None:
        rng = random.Random(seed)
        weights = [weight for weight, _ in self.kinds]
        while time.monotonic() < end:
            kind = rng.choices(self.kinds, weights)[0][1]
            begun, error = time.monotonic(), ''
            try:
                wrong = kind(rng)
            except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as e:
                wrong, error = '', f'{type(e).__name__}: {e}'[:100]
            self.report.add(kind.__name__.strip('_'), time.monotonic() - begun, error, wrong)

    # Kinds of requests: each returns '' or what was wrong with the answer

    def _ask(self, *messages: str) -> str:
        status, answer = self.api.call('POST', '/chat/completions', chat_body(*messages))
        if status != 200:
            raise ValueError(f'{status} {answer}')
        text: str = answer['choices'][0]['message']['content']
        return text

    def _compare(self, turns: tuple[str, ...], answer: str | None) -> str:
        """Anything but the answer that came first, or its beginning where somebody pressed Stop, is wrong."""
        if answer is None or self.answers[turns].startswith(answer):
            return ''
        return f'{turns[-1]!r} got {answer[:80]!r}, not {self.answers[turns][:80]!r}'

    def _chat(self, rng: random.Random) -> str:
        turns = (rng.choice(QUESTIONS),)
        return self._compare(turns, self._ask(*turns))

    def _second_turn(self, rng: random.Random) -> str:
        turns = rng.choice([turns for turns in self.answers if len(turns) > 1])
        return self._compare(turns, self._ask(*turns))

    def _whole_stream(self, rng: random.Random) -> str:
        turns = (rng.choice(QUESTIONS),)
        return self._compare(turns, self.api.stream('/chat/completions', chat_body(*turns)))

    def _cut_stream(self, rng: random.Random) -> str:
        body = chat_body(rng.choice([*QUESTIONS, LONG_PROMPT]), **LONG_ANSWER)
        self.api.stream('/chat/completions', body, chunks=rng.randrange(12))
        return ''

    def _cut_completion(self, rng: random.Random) -> str:
        body = {'prompt': f'USER: {rng.choice(QUESTIONS)} ASSISTANT: ', 'temperature': 0, **LONG_ANSWER}
        self.api.stream('/completions', body, chunks=rng.randrange(12))
        return ''

    def _gone_at_once(self, rng: random.Random) -> str:
        """Vanishes within a tenth of a second, streaming or not, without having read a byte."""
        body = chat_body(rng.choice([*QUESTIONS, LONG_PROMPT]), stream=rng.random() < 0.5, **LONG_ANSWER)
        connection = self.api.send('POST', '/chat/completions', body)
        time.sleep(rng.random() * 0.1)
        vanish(connection)
        return ''

    def _completion(self, rng: random.Random) -> str:
        body = {'prompt': f'USER: {rng.choice(QUESTIONS)} ASSISTANT: ', 'max_tokens': 5, 'temperature': 0}
        self._expect((200,), *self.api.call('POST', '/completions', body))
        return ''

    def _stop(self, rng: random.Random) -> str:
        self._expect((200,), *self.api.call('POST', '/internal/stop-generation', {}))
        return ''

    def _info(self, rng: random.Random) -> str:
        self._expect((200,), *self.api.call('GET', '/internal/model/info'))
        return ''

    def _nonsense(self, rng: random.Random) -> str:
        self._expect((200, 400, 422, 500), *self.api.call('POST', '/chat/completions', rng.choice(WRONG_BODIES)))
        return ''

    def _load(self, rng: random.Random) -> str:
        self._expect((200, 500), *self.load(**rng.choice(LOAD_OPTIONS)))
        return ''

    def _unload(self, rng: random.Random) -> str:
        self._expect((200,), *self.api.call('POST', '/internal/model/unload', {}))
        return ''

    def _expect(self, allowed: tuple[int, ...], status: int, said: Any) -> None:
        if status not in allowed and not self.loads:
            raise ValueError(f'{status} {said}')


def read_template(file: Path) -> str:
    """The Jinja text of a file of instruction-templates/."""
    import yaml

    template: str = yaml.safe_load(file.read_text('utf-8'))['instruction_template']
    return template


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('api')
    parser.add_argument('model')
    parser.add_argument('--pid', type=int)
    parser.add_argument('--minutes', type=float, default=30.0)
    parser.add_argument('--clients', type=int, default=4)
    parser.add_argument('--loads', action='store_true')
    parser.add_argument('--template', type=Path)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    server = psutil.Process(args.pid) if args.pid else None

    def memory() -> int | None:
        return server.memory_info().rss >> 20 if server else None

    soak = Soak(Api(args.api), args.model, read_template(args.template) if args.template else None, args.loads)
    soak.ask_first()
    before, begun = memory(), time.monotonic()
    print(f'{len(soak.answers)} answers noted; {args.clients} clients begin', flush=True)
    soak.run(args.minutes * 60, args.clients)
    minutes = (time.monotonic() - begun) / 60
    soak.load()
    same = sum(soak._ask(*turns) == answer for turns, answer in soak.answers.items())
    report = soak.report
    found = {
        'minutes': round(minutes, 1),
        'requests': sum(report.requests.values()),
        'by kind': dict(sorted(report.requests.items())),
        'errors': dict(report.errors),
        'waits over 60 s': report.long_waits,
        'longest wait, s': round(report.longest_wait, 1),
        'wrong answers': report.wrong_answers[:20],
        'answers as before the soak': f'{same} of {len(soak.answers)}',
        'RSS before and after, MB': [before, memory()],
    }
    print(json.dumps(found, indent=2))
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + '\n', encoding='utf-8')
    return int(bool(report.long_waits or report.wrong_answers or (report.errors and not args.loads)))


if __name__ == '__main__':
    sys.exit(main())
