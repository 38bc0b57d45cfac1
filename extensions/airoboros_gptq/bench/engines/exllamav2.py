"""ExLlamaV2 on the same GPTQ folder. It needs an NVIDIA GPU."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...util.regular_file import read_json
from ..shapes import CONTEXT
from .protocol import StepwiseEngine, random_prompt, serve


class ExLlamaV2Engine(StepwiseEngine):
    """Its forward pass, greedily, with its own fp16 KV cache."""

    def __init__(self, folder: Path, device: str, threads: int):
        import torch
        from exllamav2 import ExLlamaV2, ExLlamaV2Cache, ExLlamaV2Config

        if not device.startswith('cuda'):
            raise RuntimeError('ExLlamaV2 runs on NVIDIA GPUs only')
        self._torch = torch
        settings = ExLlamaV2Config(str(folder))
        settings.max_seq_len = CONTEXT + 64
        self._model = ExLlamaV2(settings)
        self._model.load()
        self._cache = ExLlamaV2Cache(self._model, max_seq_len=settings.max_seq_len)
        vocabulary = read_json(folder / 'config.json')['vocab_size']
        self.ids = random_prompt(vocabulary)
        self.about = {'version': version('exllamav2'), 'running': 'GPTQ, fp16 cache'}

    def reset(self) -> None:
        self.crop(0)

    def crop(self, length: int) -> None:
        self._cache.current_seq_len = length

    def forward(self, ids: Any) -> Any:
        with self._torch.inference_mode():
            return self._model.forward(ids, self._cache, last_id_only=True)

    def now(self) -> float:
        self._torch.cuda.synchronize()
        return time.perf_counter()


if __name__ == '__main__':
    serve(ExLlamaV2Engine)
