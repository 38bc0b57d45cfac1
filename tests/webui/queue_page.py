"""The webui's page without a browser, for benchmarks: keeps the values of its components and sends requests as a page would.

Scripts of the page do not run, and nothing is rendered.
"""

from __future__ import annotations

import json
import urllib.request
import uuid

_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class QueuePage:
    """A page of a webui from v4 on, driven through gradio's queue (gradio 4.37)."""

    def __init__(self, url: str):
        self.url, self.session = url, uuid.uuid4().hex
        with _OPEN(f'{url}/config', timeout=60) as answer:
            config = json.load(answer)
        self._values = {c['id']: c['props'].get('value') for c in config['components']}
        self._ids = {c['props'].get('elem_id'): c['id'] for c in config['components']}
        self._events = config['dependencies']
        for event in self._events:
            if any(name == 'load' for _, name in event['targets']):
                self._run(event)

    def new_chat(self) -> None:
        self.fire('new-chat-btn', 'click')

    def ask(self, text: str) -> None:
        """Sends a message and waits for the whole answer."""
        self._values[self._ids['chat-input']] = {'text': text, 'files': []}
        self.fire('chat-input', 'submit')

    def fire(self, elem_id: str, name: str) -> None:
        """Runs an event of a component, and the events chained to it."""
        for event in self._events:
            if [self._ids[elem_id], name] in event['targets']:
                self._follow(event)

    def _follow(self, event: dict) -> None:
        self._run(event)
        for after in self._events:
            if after['trigger_after'] == event['id']:
                self._follow(after)

    def _run(self, event: dict) -> None:
        """Runs one event on the server and stores its outputs. Raises RuntimeError if it fails."""
        if not event['backend_fn']:
            return
        request = {
            'data': [self._values.get(i) for i in event['inputs']],
            'fn_index': event['id'],
            'session_hash': self.session,
            'event_data': None,
            'trigger_id': None,
        }
        body = json.dumps(request).encode()
        join = urllib.request.Request(f'{self.url}/queue/join', body, {'Content-Type': 'application/json'})
        with _OPEN(join, timeout=60) as answer:
            number = json.load(answer)['event_id']
        with _OPEN(f'{self.url}/queue/data?session_hash={self.session}', timeout=600) as stream:
            for line in stream:
                message = json.loads(line[5:]) if line.startswith(b'data:') else {}
                if message.get('event_id') == number and message['msg'] == 'process_completed':
                    if not message['success']:
                        raise RuntimeError(f'{event["targets"]}: {message["output"]}')
                    self._take(event['outputs'], message['output']['data'])
                    return
        raise RuntimeError(f'{event["targets"]}: the stream ended early')

    def _take(self, ids: list[int], values: list) -> None:
        for i, value in zip(ids, values, strict=False):
            if isinstance(value, dict) and value.get('__type__') == 'update':
                if 'value' not in value:
                    continue
                value = value['value']
            self._values[i] = value
