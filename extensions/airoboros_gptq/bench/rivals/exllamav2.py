"""ExLlamaV2 on the same GPTQ folder. It needs an NVIDIA GPU."""

from __future__ import annotations

import json
import time
from importlib.metadata import version
from pathlib import Path

from . import serve


class ExLlama:
    """Its bare forward pass, greedily, over its own fp16 cache."""

    def __init__(self, folder: Path, device: str, threads: int):
        import torch
        from exllamav2 import ExLlamaV2, ExLlamaV2Cache, ExLlamaV2Config

        if not device.startswith('cuda'):
            raise RuntimeError('ExLlamaV2 runs on NVIDIA GPUs alone')
        self._torch = torch
        settings = ExLlamaV2Config(str(folder))
        settings.max_seq_len = 2048 + 64
        self._model = ExLlamaV2(settings)
        self._model.load()
        self._cache = ExLlamaV2Cache(self._model, max_seq_len=settings.max_seq_len)
        vocabulary = json.loads((folder / 'config.json').read_text(encoding='utf-8'))['vocab_size']
        generator = torch.Generator().manual_seed(2023)
        self._ids = torch.randint(3, vocabulary, (1, 4096), generator=generator)
        self._held = 0
        self.about = {'version': version('exllamav2'), 'running': 'GPTQ, fp16 cache'}

    def prefill(self, count: int) -> float:
        with self._torch.inference_mode():
            self._cache.current_seq_len, self._held = 0, count
            start = self._now()
            self._model.forward(self._ids[:, :count], self._cache, last_id_only=True)
            return self._now() - start

    def decode(self, context: int, count: int) -> float:
        if self._held != context:
            self.prefill(context)
        with self._torch.inference_mode():
            token = self._ids[:, context - 1 : context]
            start = self._now()
            for _ in range(count):
                token = self._model.forward(token, self._cache).argmax(-1).cpu()  # where its embedding lies
            seconds = self._now() - start
        self._cache.current_seq_len = context
        return seconds

    def _now(self) -> float:
        self._torch.cuda.synchronize()
        return time.perf_counter()


if __name__ == '__main__':
    serve(ExLlama)
