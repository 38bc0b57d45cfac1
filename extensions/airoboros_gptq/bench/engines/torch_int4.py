"""This loader with PyTorch's int4 op, the fallback where the CPU kernel cannot be compiled."""

from __future__ import annotations

from pathlib import Path

from .protocol import serve


class TorchInt4Engine:
    """The model's forward pass, as OwnEngine measures it."""

    def __init__(self, folder: Path, device: str, threads: int):
        import torch

        from ..own_engine import OwnEngine

        torch.set_num_threads(threads)
        own = OwnEngine(folder, device, 'torch-int4', None, lambda done, total: None)
        self.prefill, self.decode = own.prefill, own.decode
        self.about = {'version': torch.__version__, 'running': own.running}


if __name__ == '__main__':
    serve(TorchInt4Engine)
