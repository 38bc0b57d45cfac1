"""This loader with PyTorch's int4 op, the fallback where the CPU kernel cannot be compiled."""

from __future__ import annotations

from pathlib import Path

from .protocol import serve


class TorchInt4Engine:
    """OwnEngine with the kernel torch-int4."""

    def __init__(self, folder: Path, device: str, threads: int):
        import torch

        from ..own_engine import OwnEngine

        torch.set_num_threads(threads)
        self._own = OwnEngine(folder, device, 'torch-int4', None)
        self.about = {**self._own.about, 'version': torch.__version__}

    def prefill(self, count: int) -> float:
        return self._own.prefill(count)

    def decode(self, context: int, count: int) -> float:
        return self._own.decode(context, count)


if __name__ == '__main__':
    serve(TorchInt4Engine)
