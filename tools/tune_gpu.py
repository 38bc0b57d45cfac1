"""Times the decoding step of a 7B on an NVIDIA GPU for many ways of launching its kernels: which are fastest.

    python tools/tune_gpu.py [CONTEXT ...]

Microseconds of a whole step, at each context, on random 4-bit weights; one kind of kernel is changed at a time, the best way of
it kept while the next is. What is found goes into generation/fused_decode/graph.py.
"""

import sys
import time

import check_gpu
import torch
from airoboros_gptq.generation.fused_decode import graph as launch
from airoboros_gptq.generation.kv_cache import crop_to, make_cache
from airoboros_gptq.generation.runtime import attach

TOKENS = 60
# Tiles of a program, warps, blocks of 32 rows read at once.
WAYS = {
    'normed': [(1, 4, 4), (1, 8, 2), (1, 8, 4), (1, 16, 2), (1, 16, 4)],
    'gated': [(2, 4, 4), (2, 8, 2), (2, 8, 4), (2, 16, 2), (2, 16, 4)],
    'residual': [(1, 8, 4), (1, 16, 1), (1, 16, 2), (1, 16, 4), (1, 32, 1), (1, 32, 2)],
    'long residual': [(1, 16, 2), (1, 16, 4), (1, 32, 1), (1, 32, 2)],
}
# Parts that a cache is split into, tokens at a time.
ATTENTION_WAYS = [(8, 64), (16, 32), (16, 64), (16, 128), (32, 16), (32, 32), (32, 64), (64, 32)]


class Tuning:
    def __init__(self, contexts):
        self.contexts = contexts
        self.model = check_gpu.make(32, 'triton')
        attach(self.model)
        self.cache = make_cache(self.model)
        ids = torch.randint(3, 32000, (1, max(contexts)), device='cuda')
        self.token = ids[:, :1]
        self.model(ids, past_key_values=self.cache, logits_to_keep=1)

    def microseconds(self) -> list[float]:
        decoding = self.model.gptq.fused_forward
        with torch.inference_mode(False):
            decoding.graph = launch.DecodeGraph(decoding.plan, self.model.dtype)
        return [min(self._once(context) for _ in range(4)) for context in self.contexts]

    def _once(self, context: int) -> float:
        crop_to(self.cache, context)
        self.model.gptq.fused_forward._position = None  # a new step knows no cache
        self.model.gptq.fused_forward.decode_greedily(self.cache, self.token, 2)
        torch.cuda.synchronize()
        start = time.perf_counter()
        self.model.gptq.fused_forward.decode_greedily(self.cache, self.token, TOKENS)
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / TOKENS * 1e6


def show(name, found):
    for times, way in sorted(found):
        print(f'{name:<16} {" ".join(f"{us:7.1f}" for us in times)} us  {way}', flush=True)


@torch.inference_mode()
def main():
    tuning = Tuning([int(n) for n in sys.argv[1:]] or [16, 1500])
    for kind, ways in WAYS.items():
        found = []
        for way in ways:
            launch.BLOCKS_LAUNCH[kind] = way
            found.append((tuning.microseconds(), way))
        launch.BLOCKS_LAUNCH[kind] = min(found)[1]
        show(kind, found)
    found = []
    for launch.SPLITS, launch.ATTENTION_BLOCK in ATTENTION_WAYS:
        found.append((tuning.microseconds(), (launch.SPLITS, launch.ATTENTION_BLOCK)))
    show('attention', found)


if __name__ == '__main__':
    main()
