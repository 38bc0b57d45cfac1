"""The kernels on an NVIDIA GPU; skipped without one. By hand: pytest tests/end_to_end/test_cuda.py"""

from pathlib import Path

import pytest

torch = pytest.importorskip('torch')
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device on this machine')

TINY = Path(__file__).resolve().parents[1] / 'models' / 'airoboros-tiny-gpt4-1.2-GPTQ'
FILE = 'airoboros-tiny-gpt4-1.2-GPTQ-4bit-128g.{}.safetensors'


# Zeros of 2**(bits-1), stored less one, in as many words as they come out even in.
SYMMETRIC = {2: [0x55555555], 3: [0xDB6DB6DB, 0xB6DB6DB6, 0x6DB6DB6D], 4: [0x77777777], 8: [0x7F7F7F7F]}


def packed(k, n, group_size, act_order, device, bits=4):
    """A random linear: (PackedLinear, LinearSpec)."""
    from airoboros_gptq.kernels.packing import LinearSpec, PackedLinear

    groups = k // group_size
    words = torch.randint(-(2**31), 2**31 - 1, (k * bits // 32, n), dtype=torch.int64).to(torch.int32)
    pattern = torch.tensor([w - 2**32 * (w >= 2**31) for w in SYMMETRIC[bits]], dtype=torch.int32)
    zeros = pattern.repeat(n * bits // 32 // len(pattern)).expand(groups, -1).contiguous()
    order = torch.randperm(k) if act_order else torch.arange(k)
    g_idx = (order // group_size).int()
    tensors = PackedLinear(words, zeros, (torch.rand(groups, n) * 0.02 + 0.01).half(), g_idx)
    moved = PackedLinear(*(t.to(device) for t in (tensors.qweight, tensors.qzeros, tensors.scales, tensors.g_idx)))
    return moved, LinearSpec(k, n, bits, group_size, act_order)


@pytest.mark.parametrize('act_order', [False, True])
@pytest.mark.parametrize('group_size', [32, 64, 128, 256])
@pytest.mark.parametrize(('k', 'n'), [(256, 512), (4096, 4096), (4096, 11008), (11008, 4096)])
@pytest.mark.parametrize('rows', [1, 5, 64])
def test_int4_agrees_with_the_reference(k, n, group_size, act_order, rows):
    check(rows, *packed(k, n, group_size, act_order, torch.device('cuda')))


@pytest.mark.parametrize('act_order', [False, True])
@pytest.mark.parametrize('group_size', [64, 128, 1024])
@pytest.mark.parametrize('bits', [2, 3, 8])
@pytest.mark.parametrize('rows', [1, 5, 64])
def test_int4_of_other_widths_agrees_with_the_reference(bits, group_size, act_order, rows):
    check(rows, *packed(2048, 4096, group_size, act_order, torch.device('cuda'), bits))


def check(rows, linear, spec):
    from airoboros_gptq.kernels.packing import dequantize
    from airoboros_gptq.kernels.torch_int4 import TorchInt4Kernel

    device = linear.qweight.device
    k = spec.in_features
    assert TorchInt4Kernel.unsupported_reason(spec, device) is None
    x = torch.randn(rows, k, device=device)
    expected = x.double() @ dequantize(linear, spec).double()
    got = TorchInt4Kernel(linear, spec)(x.to(torch.bfloat16)).double()
    assert ((got - expected).norm() / expected.norm()).item() < 2e-2


@pytest.mark.parametrize(('kernel', 'dtype', 'bound'), [('auto', None, 2e-2), ('reference', torch.float32, 1e-4)])
@pytest.mark.parametrize(('order', 'kind'), [('no-act-order', 'no-act-order'), ('act.order', 'act-order')])
def test_logits_on_the_gpu_are_those_of_autogptq(kernel, dtype, bound, order, kind):
    from airoboros_gptq import load
    from safetensors.torch import load_file

    oracle = load_file(TINY.parents[1] / 'oracles' / 'airoboros-tiny.safetensors')
    model, _ = load(TINY, checkpoint=FILE.format(order), device='cuda:0', kernel=kernel, dtype=dtype)
    for i in range(3):
        with torch.no_grad():
            logits = model(oracle[f'{i}.input_ids'][None].long().cuda()).logits[0].float().cpu()
        expected = oracle[f'{i}.logits.{kind}']
        got = logits[-len(expected) :]
        assert ((got - expected).norm() / expected.norm()).item() < bound
        assert (got.argmax(-1) == expected.argmax(-1)).all()


def test_a_gpu_is_taken_where_there_is_one_and_it_chats():
    from airoboros_gptq import load
    from airoboros_gptq.airoboros.conversation import render

    model, tokenizer = load(TINY)
    assert model.device.type == 'cuda'
    assert {m.kernel.name for m in model.modules() if hasattr(m, 'kernel')} == {'triton'}
    inputs = tokenizer(render([('What is the capital of France?', None)]), return_tensors='pt').to('cuda')
    ids = model.generate(**inputs, max_new_tokens=30, do_sample=False)
    assert tokenizer.decode(ids[0, inputs.input_ids.shape[1] :], skip_special_tokens=True).strip() == (
        'The capital of France is Paris.'
    )
    assert model.gptq.fused_forward.graph.is_captured


@pytest.mark.parametrize('act_order', [False, True])
@pytest.mark.parametrize('bits', [2, 3, 4, 8])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('rows', [1, 5, 64])
def test_triton_agrees_with_the_reference(bits, act_order, dtype, rows):
    from airoboros_gptq.kernels.packing import dequantize
    from airoboros_gptq.kernels.triton.kernel import TritonKernel

    linear, spec = packed(2048, 4096, 128, act_order, torch.device('cuda'), bits)
    x = torch.randn(rows, 2048, device='cuda').to(dtype)
    expected = x.double() @ dequantize(linear, spec).double()
    got = TritonKernel(linear, spec)(x).double()
    assert ((got - expected).norm() / expected.norm()).item() < (2e-3 if dtype == torch.float16 else 1e-2)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason='one GPU')
@pytest.mark.parametrize('rows', [1, 64])
def test_a_linear_runs_where_it_lies(rows):
    """Not on the current GPU, which would not wait for the other's work."""
    from airoboros_gptq.kernels.packing import dequantize
    from airoboros_gptq.kernels.triton.kernel import TritonKernel

    other = torch.device('cuda', 1)
    linear, spec = packed(4096, 4096, 128, True, other)
    kernel = TritonKernel(linear, spec)
    right = dequantize(linear, spec)
    for _ in range(20):
        busy = torch.randn(8192, 8192, device=other)
        x = (busy @ busy)[:rows, :4096].half().clamp(-4, 4)
        expected = x.float() @ right
        assert ((kernel(x).float() - expected).norm() / expected.norm()).item() < 2e-3


@pytest.mark.parametrize(
    ('k', 'n', 'group_size'), [(256, 32, 32), (1376, 96, 32), (1024, 64, 1024), (11008, 4096, 128), (1056, 64, 96)]
)
@pytest.mark.parametrize('layout', [0, 1, 2])  # as weight_layout.py numbers them
def test_each_layout_of_a_weight_agrees_with_the_reference(k, n, group_size, layout):
    from airoboros_gptq.kernels.packing import dequantize
    from airoboros_gptq.kernels.triton.kernel import TritonKernel

    linear, spec = packed(k, n, group_size, False, torch.device('cuda'))
    x = torch.randn(1, k, device='cuda')
    expected = x.double() @ dequantize(linear, spec).double()
    got = TritonKernel(linear, spec, layout=layout)(x).double()
    assert ((got - expected).norm() / expected.norm()).item() < 1e-5


def test_tensor_cores_that_give_wrong_sums_are_not_used(monkeypatch, caplog):
    from airoboros_gptq.kernels.triton import kernel as triton_kernel

    triton_kernel._fastest_block_layout.cache_clear()
    monkeypatch.setattr(triton_kernel, '_mma_deviation', lambda device: 0.5)
    linear, spec = packed(256, 64, 64, False, torch.device('cuda'))
    assert triton_kernel.TritonKernel(linear, spec).layout == 0
    triton_kernel._fastest_block_layout.cache_clear()
    assert any('without tensor cores' in line for line in caplog.messages)


@pytest.mark.parametrize('order', ['no-act-order', 'act.order'])
def test_the_graph_gives_the_logits_of_the_layers(order):
    """Through a cache that grows, one that is cut back, and another conversation's."""
    from airoboros_gptq import load
    from airoboros_gptq.generation.kv_cache import crop_to, make_cache

    model, _ = load(TINY, checkpoint=FILE.format(order), device='cuda:0', kernel='triton')
    right, _ = load(TINY, checkpoint=FILE.format(order), device='cuda:0', kernel='reference', dtype=torch.float32)
    caches = [(make_cache(model), make_cache(right)) for _ in range(2)]
    with torch.inference_mode():
        for length, which in ((250, 0), (20, 1), (12, 0)):
            ids = torch.randint(3, 1000, (1, length), device='cuda')
            for part in (ids, *torch.randint(3, 1000, (10, 1, 1), device='cuda')):
                cache, right_cache = caches[which]
                got = model(part, past_key_values=cache).logits.float()
                expected = right(part, past_key_values=right_cache).logits
                assert ((got - expected).norm() / expected.norm()).item() < 1e-2
            for c in caches[which]:
                crop_to(c, 15)
    assert model.gptq.fused_forward.graph.is_captured


@pytest.mark.parametrize('settings', [{}, {'do_sample': True, 'temperature': 1.5, 'top_p': 0.9}], ids=str)
def test_answers_are_those_of_transformers_own_loop(settings):
    """Turn by turn, though each pass is started before its token was looked at."""
    from airoboros_gptq import load
    from loops import both

    model, _ = load(TINY, device='cuda:0', kernel='triton')
    prompt = torch.randint(3, 1000, (1, 40), device='cuda')
    for _ in range(3):
        ours, theirs = both(model, prompt, max_new_tokens=50, **settings)
        assert ours == theirs
        prompt = torch.cat((torch.tensor(ours[0], device='cuda'), prompt[:, :7]), dim=1)
    assert model.gptq.fused_forward.graph.is_captured


def test_a_listener_may_have_ids_of_the_cpu():
    from airoboros_gptq import load
    from loops import Listener
    from transformers import StoppingCriteriaList

    model, _ = load(TINY, device='cuda:0', kernel='triton')
    prompt = torch.randint(3, 1000, (1, 40), device='cuda')
    here, there = Listener(), Listener()
    here.takes_ids_on_the_cpu = True
    model.generate(prompt, max_new_tokens=9, eos_token_id=None, stopping_criteria=StoppingCriteriaList([here, there]))
    assert {ids.device.type for ids in here.heard} == {'cpu'}
    assert {ids.device.type for ids in there.heard} == {'cuda'}
    assert [ids.tolist() for ids in here.heard] == [ids.tolist() for ids in there.heard]
