"""This loader with PyTorch's int4 op, which is what it falls back on where its own CPU kernel cannot be compiled."""

from __future__ import annotations

from pathlib import Path

from . import serve


class TorchInt4:
    """The bare model, as `Ours` measures it."""

    def __init__(self, folder: Path, device: str, threads: int):
        import torch

        from ..own_engine import Ours

        torch.set_num_threads(threads)
        ours = Ours(folder, device, 'torch-int4', None, lambda done, total: None)
        self.prefill, self.decode = ours.prefill, ours.decode
        self.about = {'version': torch.__version__, 'running': ours.running}


if __name__ == '__main__':
    serve(TorchInt4)
