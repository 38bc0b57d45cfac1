"""Times the kernels of one decoding step of a 7B on an NVIDIA GPU, for many ways of launching them: which is fastest where.

    python benchmarks/tune_gpu.py [--compile I N]

Prints GB/s by shape and way, best first. Each time is of a CUDA graph of launches over different weights, so that nothing
comes out of a cache. `--compile I N` only compiles the I-th of N shares, to fill Triton's cache from several processes.
"""

import itertools
import subprocess
import sys
from pathlib import Path

import torch
import triton.language as tl

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'extensions'))
from airoboros_gptq.core.gpu import attention, step
from airoboros_gptq.core.gpu.matmul import ONE

SHAPES = {  # kind, in_features, out_features
    'qkv': ('normed', 4096, 12288),
    'out': ('residual', 4096, 4096),
    'gate_up': ('gated', 4096, 11008),
    'down': ('residual', 11008, 4096),
}
# Tiles of a program, warps, words read ahead, started early.
WAYS = list(itertools.product((2, 4, 8), (2, 4, 8), (False, True), (False, True)))
# Parts that a cache is split into, tokens at a time, warps.
ATTENTION_WAYS = list(itertools.product((8, 16, 32), (32, 64), (4, 8)))
GROUP = 16  # words of a group of 128
TILE = 4


class Weights:
    """Random weights of one shape, several times over."""

    def __init__(self, kind, inputs, outputs, copies):
        self.kind, self.inputs, self.outputs = kind, inputs, outputs
        self.tiles, self.words = outputs // TILE * (2 if kind == 'gated' else 1), inputs // 8
        shape, scales = (self.tiles, self.words, TILE), (self.tiles, self.words // GROUP, TILE)
        self.codes = [torch.randint(-(2**31), 2**31, shape, device='cuda').int() for _ in range(copies)]
        self.scales = [torch.rand(scales, device='cuda').half() * 0.01 for _ in range(copies)]
        self.x, self.hidden, self.normed, self.y = (
            torch.randn(max(inputs, outputs), device='cuda') for _ in range(4)
        )
        self.squares = torch.ones(4096, device='cuda')
        self.weight = torch.ones(outputs, device='cuda').half()
        self.nbytes = self.codes[0].nbytes + self.scales[0].nbytes

    def launch(self, i, tiles, warps, ahead, early):
        codes, scales = self.codes[i], self.scales[i]
        common = {
            'BITS': 4, 'HAS_ZEROS': False, 'EVEN': self.words % (32 * warps) == 0, 'BLOCK': 32 * warps, 'TILES': tiles,
            'AHEAD': ahead, 'EARLY': early, 'launch_pdl': early, 'num_warps': warps,
        }  # fmt: skip
        sizes = (self.outputs, self.words, scales.shape[1], GROUP, ONE)
        grid = (self.tiles // tiles,)
        if self.kind == 'normed':
            step.normed_linear_kernel[grid](
                self.x, self.squares, self.y, self.y, codes, scales, codes, *sizes, 1024, self.inputs, 1e-6,
                HAS_BIAS=False, SQUARES=1024, **common,
            )  # fmt: skip
        elif self.kind == 'gated':
            step.gated_linear_kernel[grid](
                self.x, self.squares, self.y, codes, codes, scales, codes, *sizes, 1024, self.inputs, 1e-6,
                self.outputs // 8, HAS_PLACE=False, READER=4, SQUARES=1024, **common,
            )  # fmt: skip
        else:
            step.residual_linear_kernel[grid](
                self.x, self.hidden, self.normed, self.squares, self.y, self.weight, codes, codes, scales, codes, *sizes,
                self.outputs // 8, HAS_BIAS=False, HAS_PLACE=False, READER=4, **common,
            )  # fmt: skip


class Attention:
    """Caches of 32 layers, 32 heads of 128, fp16."""

    nbytes = 0

    def __init__(self, at, layers=32):
        self.codes = range(layers)  # for microseconds()
        self.qkv, self.y = torch.randn(3 * 4096, device='cuda'), torch.zeros(4096, device='cuda')
        self.angles = torch.ones(2048, 128, device='cuda')
        self.state = torch.tensor([at, 2048], device='cuda')
        self.caches = [torch.randn(1, 32, 2048, 128, device='cuda').half() for _ in range(2 * layers)]
        self.addresses = torch.tensor([c.data_ptr() for c in self.caches], device='cuda')
        self.partial, self.peaks = torch.zeros(32, 32, 128, device='cuda'), torch.zeros(32, 32, 2, device='cuda')
        self.counters = torch.zeros(32, dtype=torch.int32, device='cuda')
        self.nbytes = at * 2 * 4096 * 2

    def launch(self, i, splits, block, warps):
        attention.attention_kernel[(32, splits)](
            self.qkv, self.angles, self.angles, self.state, self.addresses, i, self.y, self.counters, self.partial,
            self.peaks, self.counters, 128**-0.5, 512, HEADS=32, KV_HEADS=32, DIM=128, CACHE=tl.float16, WINDOW=0,
            HAS_PLACE=False, READER=4, SPLITS=splits, BLOCK=block, EARLY=False, num_warps=warps,
        )  # fmt: skip

def microseconds(work, *way):
    """Of one launch, each of another copy, as a graph of them all."""
    copies = len(work.codes)
    for i in range(copies):
        work.launch(i, *way)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for i in range(copies):
            work.launch(i, *way)
    times = []
    for _ in range(7):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(3):
            graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 3 / copies * 1000)
    return sorted(times)[3]


def show(name, work, ways):
    found = sorted((microseconds(work, *way), way) for way in ways)
    for us, way in [*found[:6], found[-1]]:
        print(f'{name:<16} {us:6.1f} us {work.nbytes / us / 1e3:6.0f} GB/s  {way}', flush=True)


def main():
    if sys.argv[1:2] == ['--compile']:
        share, shares = map(int, sys.argv[2:])
        for i, ((kind, k, n), way) in enumerate(itertools.product(SHAPES.values(), WAYS)):
            if i % shares == share:
                Weights(kind, k, n, 1).launch(0, *way)
        return
    shares = 15
    workers = [subprocess.Popen([sys.executable, __file__, '--compile', str(i), str(shares)]) for i in range(shares)]
    assert not [w for w in workers if w.wait()]
    for name, (kind, k, n) in SHAPES.items():
        show(name, Weights(kind, k, n, max(4, int(1.6e8 // (k * n // 2 * (2 if kind == 'gated' else 1))))), WAYS)
    for at in (16, 1500):
        show(f'attention at {at}', Attention(at), ATTENTION_WAYS)


if __name__ == '__main__':
    main()
