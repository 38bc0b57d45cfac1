"""Small GPTQ folders of many architectures, made when they are needed: random weights, rounded to the nearest, with the same
weights dequantised beside them, so that plain transformers on the second is the oracle for the first.
"""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from support import TINY

PROJECTIONS = (
    r'\w*proj\w*|w[123]|v1|fc\w*|fc_(in|out)|dense\w*|query_key_value|c_attn|c_proj|c_fc|Wqkv|out|'
    r'(mixer|mamba)\.\w+|layer'
)
QUANTISED = rf'(\.|^)({PROJECTIONS})$'
ROUTERS = rf'(\.|^)({PROJECTIONS}|gate|router|wg)$'
LEFT_OUT = (
    r'conv|embed|lm_head|norm\w*$|shared_expert_gate|in_proj_(a|b|ba)$|visual|vision|multi_modal|project_(in|out)|score'
)
IDS = 24


def pack_rows(codes, bits):
    """int64 [R, C] to int32 words along R, lowest bits first, through the single bits."""
    columns = codes.shape[1]
    ones = (codes[:, None] >> torch.arange(bits)[None, :, None]) & 1
    words = (ones.reshape(-1, 32, columns) << torch.arange(32)[None, :, None]).sum(1)
    return torch.where(words >= 2**31, words - 2**32, words).int()


def quantise(weight, bits=4, group_size=32, scales_dtype=torch.float16):
    """({part: tensor} of a linear of symmetric zeros, the weight that it stands for) of a weight [N, K]."""
    w = weight.float().T
    rows = w.shape[0]
    index = torch.arange(rows) // group_size
    middle = 2 ** (bits - 1)
    groups = [w[index == g].abs().amax(0) for g in range(int(index.max()) + 1)]
    scales = (torch.stack(groups).clamp(min=1e-6) / (middle - 0.5)).to(scales_dtype)
    q = (w / scales.float()[index] + middle).round().clamp(0, 2 * middle - 1).long()
    zeros = torch.full((w.shape[1], len(groups)), middle - 1)
    parts = {
        'qweight': pack_rows(q, bits),
        'qzeros': pack_rows(zeros, bits).T.contiguous(),
        'scales': scales,
        'g_idx': index.int(),
    }
    return parts, (scales.float()[index] * (q - middle)).T.contiguous()


@dataclass(frozen=True)
class Made:
    """A GPTQ folder and, under the same names, the dequantised twin, as plain transformers reads it."""

    folder: Path
    twin: Path
    quantised: list[str]

    def edit_config(self, **changes):
        """Sets keys of the GPTQ folder's config.json alone; None takes one out."""
        path = self.folder / 'config.json'
        config = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))

    def edit_tensors(self, change):
        """`change` edits the tensors of the GPTQ folder in place."""
        path = self.folder / 'model.safetensors'
        tensors = {name: t.clone() for name, t in load_file(path).items()}
        change(tensors)
        save_file({n: t.contiguous() for n, t in tensors.items()}, path, metadata={'format': 'pt'})


def randomise(model):
    """Random numbers that nothing can be left out of unseen: norms and biases too."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.dim() == 1:
                p.copy_((1 if name.endswith('weight') else 0) + 0.1 * noise)
            else:
                p.copy_(noise * p.shape[-1] ** -0.5)
    model.tie_weights()


def make(out, model, pattern=QUANTISED, left_out=LEFT_OUT, bits=4, group_size=32, scales_dtype=torch.float16):
    """Quantises the 2-D weights whose modules match `pattern` and not `left_out`; a Made in `out`."""
    randomise(model.float())
    twin, folder = out / 'twin', out / 'gptq'
    model.save_pretrained(twin)
    tensors = {}
    for path in twin.glob('*.safetensors'):
        tensors |= load_file(path)
        path.unlink()
    for path in twin.glob('*.index.json'):
        path.unlink()
    transposed = {n for n, m in model.named_modules() if type(m).__name__ == 'Conv1D'}
    packed, plain, quantised = {}, {}, []
    for name, value in tensors.items():
        module = name.removesuffix('.weight')
        fits = value.dim() == 2 and module != name and all(n % 32 == 0 for n in value.shape)
        if fits and re.search(pattern, module) and not re.search(left_out, module):
            parts, weight = quantise(value.T if module in transposed else value, bits, group_size, scales_dtype)
            plain[name] = weight.T.contiguous() if module in transposed else weight
            packed |= {f'{module}.{part}': t for part, t in parts.items()}
            quantised.append(module)
        else:
            plain[name] = packed[name] = value.clone()
    folder.mkdir()
    save_file(plain, twin / 'model.safetensors', metadata={'format': 'pt'})
    save_file(packed, folder / 'model.safetensors', metadata={'format': 'pt'})
    config = json.loads((twin / 'config.json').read_text())
    settings = {'bits': bits, 'group_size': group_size, 'desc_act': False, 'sym': True, 'quant_method': 'gptq'}
    (folder / 'config.json').write_text(json.dumps(config | {'quantization_config': settings}))
    for name in ('tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'):
        shutil.copy(TINY / name, folder)
    return Made(folder, twin, quantised)


def take_apart(made, layouts):
    """Quantises fused experts of both folders, expert by expert. `layouts`: {the end of a fused tensor's name: its split}, where
    split(weight of one expert as it lies in memory) is {name of a part: weight [N, K]}, and join() goes the other way.
    """
    twin = {n: t.clone() for n, t in load_file(made.twin / 'model.safetensors').items()}

    def change(tensors):
        for name in list(tensors):
            for end, (split, join, named) in layouts.items():
                if name.endswith(end):
                    base, fused, whole = name.removesuffix(end), tensors.pop(name), []
                    for index, one in enumerate(fused):
                        found = {part: quantise(w) for part, w in split(one).items()}
                        for part, (parts, _) in found.items():
                            at = named.format(base=base, expert=index, part=part)
                            tensors.update({f'{at}.{leaf}': t for leaf, t in parts.items()})
                        whole.append(join({part: w for part, (_, w) in found.items()}))
                    twin[name] = torch.stack(whole).contiguous()

    made.edit_tensors(change)
    save_file(twin, made.twin / 'model.safetensors', metadata={'format': 'pt'})


def input_ids():
    return torch.randint(3, 200, (1, IDS), generator=torch.Generator().manual_seed(5))


def expected(made, auto=transformers.AutoModelForCausalLM, **kwargs):
    """The dequantised twin in plain transformers."""
    return auto.from_pretrained(made.twin, dtype=torch.float32, **kwargs).eval()


def compare(model, twin):
    """The relative deviation of the logits of two models."""
    ids = input_ids()
    with torch.no_grad():
        found, right = model(input_ids=ids).logits.float(), twin(input_ids=ids).logits.float()
    return float((found - right).norm() / right.norm())


def same_text(model, twin):
    """Whether both generate the same eight tokens."""
    ids = input_ids()
    settings = {'do_sample': False, 'max_new_tokens': 8, 'min_new_tokens': 8, 'attention_mask': torch.ones_like(ids)}
    return model.generate(ids, **settings).tolist() == twin.generate(ids, **settings).tolist()
