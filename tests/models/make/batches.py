"""Conversations of corpus.py as token ids, one by one and in batches that processes make without end."""

import random
import threading
import time

import corpus
import numpy as np
import sentencepiece

BOS, EOS = 1, 2


def encode(sp, text: str) -> list[int]:
    """Ids of the slow LLaMA tokenizer: `</s>` is one token, every stretch between gets the dummy prefix."""
    ids = []
    for i, part in enumerate(text.split('</s>')):
        ids += [EOS] * bool(i) + sp.encode(part)
    return ids


_sp = None


def make_items(job):
    """(source ids, target ids, kind) of each of `count` conversations."""
    global _sp
    model, seed, count, exam = job
    if _sp is None:
        _sp = sentencepiece.SentencePieceProcessor(model_file=model)
    rng = random.Random(seed)
    items = []
    for _ in range(count):
        source, target, bos, kind = corpus.sample(rng, exam)
        ids = [BOS] * bos + encode(_sp, source)
        items.append((ids, [*_sp.encode(target), EOS], kind))
    return items


def make_batches(job):
    """Batches of one length each: ids uint16 [B, T], and the positions [B, 2] where targets begin and end."""
    tokens = job[-1]
    items = sorted(make_items(job[:-1]), key=lambda x: len(x[0]) + len(x[1]))
    batches = []
    while items:
        width = -(-(len(items[-1][0]) + len(items[-1][1])) // 16) * 16
        part = items[-max(1, tokens // width) :]
        del items[-len(part) :]
        ids, spans = np.zeros((len(part), width), np.uint16), np.zeros((len(part), 2), np.uint16)
        for row, (source, target, _) in enumerate(part):
            ids[row, : len(source) + len(target)] = source + target
            spans[row] = len(source), len(source) + len(target)
        batches.append((ids, spans))
    return batches


class Stream:
    """Batches without end, from processes that go on making them; where they are late, old ones come again."""

    def __init__(self, pool, model: str, tokens: int, seed: int, chunk: int):
        self._fresh, self._used, self._rng = [], [], random.Random(seed)
        self._lock, self.made, self.repeated = threading.Lock(), 0, 0
        self.chunk = chunk
        jobs = ((model, seed * 100003 + i, chunk, False, tokens) for i in range(10**9))
        threading.Thread(target=self._collect, args=(pool, jobs), daemon=True).start()

    def _collect(self, pool, jobs) -> None:
        waiting = []
        while True:
            while len(waiting) < 2 * pool._processes and len(self._fresh) < 4000:
                waiting.append(pool.apply_async(make_batches, (next(jobs),)))
            done = [w for w in waiting if w.ready()]
            for w in done:
                waiting.remove(w)
                with self._lock:
                    self._fresh += w.get()
                    self.made += self.chunk
            time.sleep(0.01)

    def take(self):
        while not self._fresh and not self._used:
            time.sleep(0.05)
        with self._lock:
            if self._fresh:
                at = self._rng.randrange(len(self._fresh))
                self._fresh[at], self._fresh[-1] = self._fresh[-1], self._fresh[at]
                batch = self._fresh.pop()
                self._used = [*self._used[-6000:], batch] if len(self._used) > 8000 else self._used
                self._used.append(batch)
                return batch
        self.repeated += 1
        return self._rng.choice(self._used)
