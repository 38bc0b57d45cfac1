"""Streams an answer from a loaded model: for the command line and for pages that have no webui around them."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass

from ..airoboros.conversation import SAMPLING
from .detokenizer import keep_leading_space

WORKER = 'airoboros_gptq generate'  # the name of the thread that runs the model


@dataclass(frozen=True)
class Sampling:
    """How to pick tokens. A temperature of 0 is greedy. `seed` None leaves torch's generator as it is."""

    temperature: float = SAMPLING['temperature']
    top_p: float = SAMPLING['top_p']
    repetition_penalty: float = SAMPLING['repetition_penalty']
    max_new_tokens: int = 512
    seed: int | None = None


def stream(
    model, tokenizer, prompt: str, sampling: Sampling, stop: threading.Event | None = None
) -> Generator[str, None, None]:
    """Yields the answer so far, growing, until the end token, `max_new_tokens` or `stop`.

    Closing the iterator early stops the model too. An exception of the model is raised here.
    """
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

    stop = stop or threading.Event()

    class Stop(StoppingCriteria):
        def __call__(self, input_ids, scores, **kwargs):
            return stop.is_set()

    if sampling.seed is not None:
        torch.manual_seed(sampling.seed)
    # A chat template may have written the <s> itself.
    bare = not (tokenizer.bos_token and prompt.startswith(tokenizer.bos_token))
    inputs = tokenizer(prompt, return_tensors='pt', add_special_tokens=bare).to(model.device)
    streamer = TextIteratorStreamer(keep_leading_space(tokenizer), skip_prompt=True, skip_special_tokens=True)
    sampled = sampling.temperature > 0
    settings = {
        'do_sample': sampled,
        **({'temperature': sampling.temperature, 'top_p': sampling.top_p} if sampled else {}),
        'repetition_penalty': sampling.repetition_penalty,
        'max_new_tokens': sampling.max_new_tokens,
    }
    failure: list[BaseException] = []

    def run():
        try:
            model.generate(**inputs, **settings, streamer=streamer, stopping_criteria=StoppingCriteriaList([Stop()]))
        except BaseException as e:  # handed to the reader below
            failure.append(e)
            streamer.end()

    worker = threading.Thread(target=run, daemon=True, name=WORKER)
    worker.start()
    text = ''
    try:
        for piece in streamer:
            text += piece
            yield text.removeprefix(' ')  # of the first word: the prompt already ends with a space
    finally:
        stop.set()
        worker.join()
    if failure:
        raise failure[0]
