"""An extension of the webui for tests: a stream of the API stands still as for a client that reads slowly, and tokens are slow.

While the file `hold` lies in the webui's folder, sending the fourth chunk of a stream takes a minute. Nothing is freed by
the garbage collector, as in a webui in which every client waits. The model takes SECONDS_A_TOKEN, so that a long answer
is one that cannot end by itself within a test.
"""

import gc
from pathlib import Path

SECONDS_A_TOKEN = 0.02


def setup():
    import anyio
    from sse_starlette import EventSourceResponse

    stream_response = EventSourceResponse.stream_response

    async def hold(self, send):
        chunks = 0

        async def send_slowly(message):
            nonlocal chunks
            await send(message)
            chunks += message['type'] == 'http.response.body'
            if chunks == 4 and Path('hold').exists():
                await anyio.sleep(60)

        await stream_response(self, send_slowly)

    EventSourceResponse.stream_response = hold
    gc.disable()


def logits_processor_modifier(processors, input_ids):
    import time

    processors.append(lambda ids, scores: time.sleep(SECONDS_A_TOKEN) or scores)
