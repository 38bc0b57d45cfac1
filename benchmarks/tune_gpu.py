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

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'extensions'))
from airoboros_gptq.core.gpu import step
from airoboros_gptq.core.gpu.matmul import ONE

SHAPES = {  # kind, in_features, out_features
    'qkv': ('normed', 4096, 12288),
    'out': ('residual', 4096, 4096),
    'gate_up': ('gated', 4096, 11008),
    'down': ('residual', 11008, 4096),
}
WAYS = [
    (tile, block, warps)
    for tile, block, warps in itertools.product((16, 32), (32, 64, 128, 256), (2, 4, 8))
    if block * tile // (32 * warps) in (4, 8, 16)
]
GROUP = 16  # words of a group of 128
EARLY = {'EARLY': True, 'launch_pdl': True}


class Weights:
    """Random weights of one shape, several times over."""

    def __init__(self, kind, inputs, outputs, tile, copies):
        self.kind, self.inputs, self.outputs, self.tile = kind, inputs, outputs, tile
        both = 2 if kind == 'gated' else 1
        self.tiles, self.words = outputs // tile, inputs // 8
        groups = self.words // GROUP
        shape = (self.tiles * both, self.words, tile)
        self.codes = [torch.randint(-(2**31), 2**31, shape, device='cuda').int() for _ in range(copies)]
        scales = (self.tiles * both, groups, tile)
        self.scales = [torch.rand(scales, device='cuda').half() * 0.01 for _ in range(copies)]
        self.x, self.hidden = (torch.randn(4 * n, device='cuda') for n in (inputs, max(inputs, outputs)))
        self.normed, self.y = (torch.zeros(4 * max(inputs, outputs), device='cuda') for _ in range(2))
        self.squares = torch.ones(256, device='cuda')
        self.weight = torch.ones(outputs, device='cuda').half()
        self.nbytes = self.codes[0].nbytes + self.scales[0].nbytes

    def launch(self, i, block, warps):
        codes, scales = self.codes[i], self.scales[i]
        common = {
            'BITS': 4, 'HAS_ZEROS': False, 'EVEN': self.words % block == 0, 'BLOCK': block,
            'TILE': self.tile, 'num_warps': warps, **EARLY,
        }  # fmt: skip
        sizes = (self.outputs, self.words, scales.shape[1], GROUP, ONE)
        grid = (self.tiles,)
        if self.kind == 'normed':
            step.normed_linear_kernel[grid](
                self.x, self.squares, self.y, self.y, codes, scales, codes, *sizes, 256, self.inputs, 1e-6,
                HAS_BIAS=False, SQUARES=256, **common,
            )  # fmt: skip
        elif self.kind == 'gated':
            step.gated_linear_kernel[grid](
                self.x, self.squares, self.y, codes, codes, scales, codes, *sizes, 256, self.inputs, 1e-6, self.outputs // 8,
                HAS_PLACE=False, READER=4, SQUARES=256, **common,
            )  # fmt: skip
        else:
            step.residual_linear_kernel[grid](
                self.x, self.hidden, self.normed, self.squares, self.y, self.weight, codes, codes, scales, codes, *sizes, self.outputs // 8,
                HAS_BIAS=False, HAS_PLACE=False, READER=4, **common,
            )  # fmt: skip

    def microseconds(self, *way):
        copies = len(self.codes)
        for i in range(copies):
            self.launch(i, *way)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for i in range(copies):
                self.launch(i, *way)
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


def main():
    if sys.argv[1:2] == ['--compile']:
        share, shares = map(int, sys.argv[2:])
        for i, ((kind, k, n), way) in enumerate(itertools.product(SHAPES.values(), WAYS)):
            if i % shares == share:
                Weights(kind, k, n, way[0], 1).launch(0, *way[1:])
        return
    shares = 14
    workers = [subprocess.Popen([sys.executable, __file__, '--compile', str(i), str(shares)]) for i in range(shares)]
    assert not [w for w in workers if w.wait()]
    for name, (kind, k, n) in SHAPES.items():
        found = []
        for tile in (16, 32):
            weights = Weights(kind, k, n, tile, max(3, int(2e8 // (k * n // 2 * (2 if kind == 'gated' else 1)))))
            for way in [w for w in WAYS if w[0] == tile]:
                us = weights.microseconds(*way[1:])
                found.append((us, weights.nbytes / us / 1e3, way))
        for us, rate, way in sorted(found)[:5]:
            print(f'{name:<8} {us:6.1f} us {rate:6.0f} GB/s  tile {way[0]} block {way[1]} warps {way[2]}')
        print(f'{name:<8} worst {max(found)[0]:.1f} us {max(found)[2]}')


if __name__ == '__main__':
    main()
