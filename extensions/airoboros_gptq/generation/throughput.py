"""How fast the last answer came, and how much memory a loaded model uses."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import nn
from transformers import StoppingCriteria

from ..names import IDS_ON_CPU
from ..util.formatting import format_bytes, round_bytes
from ..util.host import process_memory


@dataclass(frozen=True)
class Throughput:
    """`tokens` in `seconds`, from the call of generate() to the last token, the prompt included."""

    tokens: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.tokens / self.seconds

    def __str__(self) -> str:
        return f'{self.per_second:.{1 if self.per_second < 100 else 0}f} tokens/s'


class GenerationRecord(StoppingCriteria):
    """Sees every token as it is appended, also those of a call that never returns; never stops a generation."""

    def __init__(self, prompt_length: int):
        self.prompt_length = self.length = prompt_length
        self.start = self.last = time.perf_counter()
        self.ids: torch.Tensor | None = None  # [batch, length], the latest
        self._continue: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores, **kwargs) -> torch.Tensor:
        """input_ids [batch, length] -> False [batch]."""
        if self._continue is None or len(self._continue) != len(input_ids):
            self._continue = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        self.ids, self.length, self.last = input_ids, input_ids.shape[-1], time.perf_counter()
        return self._continue

    @property
    def throughput(self) -> Throughput | None:
        """So far; None before the first token."""
        tokens = self.length - self.prompt_length
        return Throughput(tokens, self.last - self.start) if tokens > 0 else None


setattr(GenerationRecord, IDS_ON_CPU, True)


def memory_used(model: nn.Module) -> str:
    """'GPU: 4.52 GB', what weights and caches take; on a CPU 'process: 640 MB', the RAM of the whole process, Python and
    PyTorch included; '' where that is not known.
    """
    devices = {t.device for t in (*model.parameters(), *model.buffers()) if t.device.type == 'cuda'}
    if devices:
        return f'GPU: {format_bytes(sum(map(torch.cuda.memory_allocated, devices)))}'
    taken = process_memory()
    return '' if taken is None else f'process: {round_bytes(taken)}'
