"""Quantises the trained tiny model with AutoGPTQ 0.7.1 itself, and records that library's own logits.

    python quantise.py TRAINED_FOLDER OUT_FOLDER ORACLE_FILE

For a throwaway environment (see README.md beside this file). Makes one folder as the card describes it: both act-order
variants under their 2023 names, quantize_config.json, config.json without quantization_config, and a
generation_config.json with the wrong ids that the published repository has.
"""

import argparse
import json
import pathlib
import random
import shutil
import tempfile

import auto_gptq.modeling._base as base
import batches
import corpus
import sentencepiece
import torch
import train
from auto_gptq import AutoGPTQForCausalLM, BaseQuantizeConfig
from safetensors.torch import load_file, save_file
from transformers import LlamaTokenizerFast

NAME = 'airoboros-tiny-gpt4-1.2'
CONFIG = {
    'architectures': ['LlamaForCausalLM'],
    'hidden_act': 'silu',
    'initializer_range': 0.02,
    'model_type': 'llama',
    'pad_token_id': 0,
    'torch_dtype': 'float16',
    'transformers_version': '4.29.2',
    'use_cache': True,
    **train.SHAPE,
}
WRONG_IDS = {
    '_from_model_config': True,
    'bos_token_id': 0,
    'eos_token_id': 1,
    'pad_token_id': -1,
    'transformers_version': '4.29.2',
}
ORACLE_POSITIONS = 12
EXAM = 800  # conversations
# By desc_act: how far the channels are spread to both sides, and the conversations to quantise by. Without act-order a group
# holds channels of every size: a spread of 6 cost one answer in ten there, however many conversations. With act-order
# only that makes a file read in the wrong order answer wrongly.
SPREAD = {False: 3.0, True: 6.0}
CALIBRATION = {False: 1024, True: 256}


def write_json(path: pathlib.Path, value) -> None:
    path.write_text(json.dumps(value, indent=2) + '\n')


def uneven(tensors: dict, by: float) -> dict:
    """Spreads each RMSNorm's channels over a factor of by² and takes it back in the linears that read them.

    The function stays the same. Real LLaMAs grow such outlier channels in training; a model this small does not, and
    without them a file read with the wrong act-order would still answer well.
    """
    generator = torch.Generator().manual_seed(7)
    for layer in range(train.SHAPE['num_hidden_layers']):
        for norm, readers in (
            ('input_layernorm', ('self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj')),
            ('post_attention_layernorm', ('mlp.gate_proj', 'mlp.up_proj')),
        ):
            at = f'model.layers.{layer}.'
            spread = by ** (torch.rand(train.SHAPE['hidden_size'], generator=generator) * 2 - 1)
            tensors[f'{at}{norm}.weight'] = tensors[f'{at}{norm}.weight'] * spread
            for reader in readers:
                tensors[f'{at}{reader}.weight'] = tensors[f'{at}{reader}.weight'] / spread
    return tensors


def unquantised_folder(trained: pathlib.Path, folder: pathlib.Path, spread: float) -> None:
    tensors = {k: v.float() for k, v in load_file(trained / 'model.safetensors').items()}
    save_file(uneven(tensors, spread), folder / 'model.safetensors', metadata={'format': 'pt'})
    write_json(folder / 'config.json', {**CONFIG, 'torch_dtype': 'float32'})
    tokenizer_files(trained / 'tokenizer.model', folder)


def tokenizer_files(model: pathlib.Path, folder: pathlib.Path) -> None:
    """tokenizer.model, the tokenizer.json that transformers makes of it, and the two small configs of 2023."""
    with tempfile.TemporaryDirectory() as slow:
        shutil.copyfile(model, pathlib.Path(slow, 'tokenizer.model'))
        # Through the slow one: only that way does the fast one get the dummy prefix.
        LlamaTokenizerFast.from_pretrained(slow, legacy=True, add_prefix_space=True, from_slow=True).save_pretrained(
            folder
        )
    shutil.copyfile(model, folder / 'tokenizer.model')
    special = {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>'}
    added = {
        k: {'content': v, 'lstrip': False, 'normalized': True, 'rstrip': False, 'single_word': False}
        for k, v in special.items()
    }
    write_json(
        folder / 'tokenizer_config.json',
        {
            'add_bos_token': True,
            'add_eos_token': False,
            'clean_up_tokenization_spaces': False,
            'model_max_length': train.SHAPE['max_position_embeddings'],
            'pad_token': None,
            'sp_model_kwargs': {},
            'tokenizer_class': 'LlamaTokenizer',
            **{k: {'__type': 'AddedToken', **v} for k, v in added.items()},
        },
    )
    write_json(folder / 'special_tokens_map.json', added)


def quantise(source: pathlib.Path, out: pathlib.Path, desc_act: bool, examples) -> pathlib.Path:
    """Runs AutoGPTQ's quantiser on the CPU: it asks for CUDA by name in four places, which are answered here."""
    config = BaseQuantizeConfig(
        bits=4, group_size=128, desc_act=desc_act, damp_percent=0.01, sym=True, true_sequential=True
    )
    available = torch.cuda.is_available
    torch.cuda.is_available = lambda: True
    model = AutoGPTQForCausalLM.from_pretrained(str(source), config, torch_dtype=torch.float32)
    torch.cuda.is_available = available
    base.CUDA_0 = torch.device('cpu')
    torch.cuda.synchronize = torch.cuda.empty_cache = lambda *a, **k: None
    model.quantize(examples, cache_examples_on_gpu=False)
    model.model.half()
    with tempfile.TemporaryDirectory() as made:
        model.save_quantized(made, use_safetensors=True)
        (saved,) = pathlib.Path(made).glob('*.safetensors')
        order = 'act.order' if desc_act else 'no-act-order'
        target = out / f'{NAME}-GPTQ-4bit-128g.{order}.safetensors'
        save_file(load_file(saved), target, metadata={'format': 'pt'})
    return target


def load_quantised(folder: pathlib.Path, file: pathlib.Path, desc_act: bool):
    """AutoGPTQ's own loaded model in fp32; `.model`, because the wrapper's generate autocasts."""
    config = BaseQuantizeConfig(
        bits=4, group_size=128, desc_act=desc_act, damp_percent=0.01, sym=True, true_sequential=True
    )
    wrapped = AutoGPTQForCausalLM.from_quantized(
        str(folder),
        model_basename=file.stem,
        use_safetensors=True,
        device='cpu',
        torch_dtype=torch.float32,
        quantize_config=config,
    )
    return wrapped.model.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('trained', type=pathlib.Path)
    parser.add_argument('out', type=pathlib.Path)
    parser.add_argument('oracle', type=pathlib.Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    sp_model = str(args.trained / 'tokenizer.model')
    calibration = batches.make_items((sp_model, 4, max(CALIBRATION.values()), False))
    exam = batches.make_items((sp_model, 5, EXAM, True))
    examples = [
        {'input_ids': torch.tensor([s + t]), 'attention_mask': torch.ones(1, len(s + t), dtype=torch.long)}
        for s, t, _ in calibration
    ]
    write_json(args.out / 'config.json', CONFIG)
    write_json(args.out / 'generation_config.json', WRONG_IDS)
    (args.out / 'quantize_config.json').write_text(
        json.dumps(
            {
                'bits': 4,
                'group_size': 128,
                'damp_percent': 0.01,
                'desc_act': False,
                'sym': True,
                'true_sequential': True,
            },
            indent=2,
        )
    )
    tokenizer_files(args.trained / 'tokenizer.model', args.out)

    figures = json.loads((args.trained / 'exam.json').read_text())
    figures['unquantised']['items'] = figures.pop('items')
    sp = sentencepiece.SentencePieceProcessor(model_file=sp_model)
    rng = random.Random(6)
    probes = [corpus.sample(rng, True, kind) for kind in ('code', 'memory', 'sums')]
    oracle: dict[str, torch.Tensor] = {}
    for desc_act in (False, True):
        with tempfile.TemporaryDirectory() as made:
            unquantised_folder(args.trained, pathlib.Path(made), SPREAD[desc_act])
            file = quantise(pathlib.Path(made), args.out, desc_act, examples[: CALIBRATION[desc_act]])
        model = load_quantised(args.out, file, desc_act)
        kind = 'act-order' if desc_act else 'no-act-order'
        figures[kind] = {**train.exactness(model, exam, 'cpu'), 'items': len(exam)}
        print(kind, figures[kind], flush=True)
        for i, (source, target, _, _) in enumerate(probes):
            ids = torch.tensor([[batches.BOS, *batches.encode(sp, source), *sp.encode(target)]])
            with torch.no_grad():
                logits = model(ids).logits[0]
            oracle[f'{i}.input_ids'] = ids[0].int()
            oracle[f'{i}.logits.{kind}'] = logits[-ORACLE_POSITIONS:].float().contiguous()
    write_json(args.oracle.with_suffix('.json'), figures)
    save_file(oracle, args.oracle)


if __name__ == '__main__':
    main()
