"""Records what AutoGPTQ 0.7.1's own QuantLinear packs and computes, for test_quantization.py and test_kernels.py.

    python make_pack.py pack.safetensors

For an environment with auto-gptq 0.7.1 and a transformers that it runs with (made with Python 3.11, torch 2.13 on a CPU,
transformers 4.46.3). Integers are drawn, turned into weights, and handed to `QuantLinear.pack`: the class for act-order
is `qlinear_cuda`, without it `qlinear_cuda_old`, as AutoGPTQ chooses where ExLlama is not compiled. Zeros of 0 are left
out: its packer turns them into -1, whose sign bits run into the neighbouring values.

For every case, `<bits>.<sym|asym>.<act-order|plain>.`: `qweight`, `qzeros`, `scales` (fp16), `g_idx` as a file holds them,
the integers `q` [K, N] and `zeros` [G, N] that went in, and `y` [3, N], its forward in fp32 on the one `x` [3, K].
"""

import sys

import torch
from auto_gptq.nn_modules.qlinear import qlinear_cuda, qlinear_cuda_old
from safetensors.torch import save_file

IN, OUT, GROUP = 96, 32, 32


def case(bits: int, sym: bool, act_order: bool, x: torch.Tensor) -> dict[str, torch.Tensor]:
    top = 2**bits - 1
    g_idx = torch.arange(IN) // GROUP
    if act_order:
        g_idx = g_idx[torch.randperm(IN)]
    q = torch.randint(0, top + 1, (IN, OUT))
    zeros = torch.full((IN // GROUP, OUT), (top + 1) // 2) if sym else torch.randint(1, top + 1, (IN // GROUP, OUT))
    scales = (torch.rand(IN // GROUP, OUT) * 0.02 + 0.01).half().float()

    linear = torch.nn.Linear(IN, OUT, bias=False)
    linear.weight.data = (scales[g_idx] * (q - zeros[g_idx])).t().contiguous()
    module = qlinear_cuda if act_order else qlinear_cuda_old
    made = module.QuantLinear(bits, GROUP, IN, OUT, False, weight_dtype=torch.float32)
    made.pack(linear, scales.t().contiguous(), zeros.t().contiguous().float(), g_idx.int())
    with torch.no_grad():
        y = made(x)
    return {
        'qweight': made.qweight,
        'qzeros': made.qzeros,
        'scales': made.scales.half(),
        'g_idx': g_idx.int(),
        'q': q.to(torch.uint8),
        'zeros': zeros.to(torch.int16),
        'y': y.float(),
    }


def main():
    torch.manual_seed(0)
    x = torch.randn(3, IN)
    oracle = {'x': x}
    for bits in (2, 3, 4, 8):
        for sym in (True, False):
            for act_order in (False, True):
                name = f'{bits}.{"sym" if sym else "asym"}.{"act-order" if act_order else "plain"}'
                oracle |= {f'{name}.{k}': v.contiguous() for k, v in case(bits, sym, act_order, x).items()}
    save_file(oracle, sys.argv[1])


if __name__ == '__main__':
    main()
