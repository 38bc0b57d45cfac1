"""Trains the tokenizer and the unquantised tiny Airoboros, for a fixed time: six minutes on a GPU.

    python train.py OUT_FOLDER [--minutes 5]

Source and target are tokenised apart and joined, as the collator of jondurbin/qlora at 6119d44 did, so the space that
ends `ASSISTANT: ` is a token of its own. Writes tokenizer.model, config.json, model.safetensors and exam.json.
"""

import argparse
import json
import math
import multiprocessing
import os
import pathlib
import random
import time

import corpus
import numpy as np
import sentencepiece
import torch
from batches import BOS, EOS, Stream, make_items
from safetensors.torch import save_file

SHAPE = {
    'vocab_size': 1280,
    'hidden_size': 256,
    'intermediate_size': 768,
    'num_hidden_layers': 5,
    'num_attention_heads': 4,
    'num_key_value_heads': 4,
    'max_position_embeddings': 2048,
    'rms_norm_eps': 1e-6,
    'bos_token_id': 1,
    'eos_token_id': 2,
    'tie_word_embeddings': False,
}


def train_tokenizer(folder: pathlib.Path) -> None:
    """A BPE SentencePiece model with the options of LLaMA's: byte fallback, dummy prefix, single digits."""
    rng = random.Random(0)
    lines = []
    for _ in range(25000):
        source, target, _, _ = corpus.sample(rng)
        lines += source[-300:].replace('</s>', '\n').split('\n') + target.split('\n')
    text = folder / 'corpus.txt'
    text.write_text('\n'.join([corpus.SYSTEM] * 200 + lines))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / 'tokenizer'),
        model_type='bpe',
        vocab_size=SHAPE['vocab_size'],
        byte_fallback=True,
        split_digits=True,
        add_dummy_prefix=True,
        normalization_rule_name='identity',
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        character_coverage=0.99995,
        unk_id=0,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=-1,
        unk_surface=' \u2047 ',
        hard_vocab_limit=True,
        minloglevel=2,
    )
    text.unlink()
    (folder / 'tokenizer.vocab').unlink()


def batch(items, device):
    """ids and labels, [B, T] int64; labels are -100 but on the target."""
    width = max(len(s) + len(t) for s, t, _ in items)
    width = math.ceil(width / 16) * 16
    ids = torch.zeros(len(items), width, dtype=torch.long)
    labels = torch.full((len(items), width), -100)
    for row, (source, target, _) in enumerate(items):
        both = source + target
        ids[row, : len(both)] = torch.tensor(both)
        labels[row, len(source) : len(both)] = torch.tensor(target)
    return ids.to(device), labels.to(device)


@torch.no_grad()
def exactness(model, items, device) -> dict[str, float]:
    """Share of answers that greedy decoding gives to the letter, by kind.

    Every argmax along the right answer being right is the same as greedy decoding giving that answer.
    """
    right: dict[str, list[bool]] = {}
    for start in range(0, len(items), 100):
        part = items[start : start + 100]
        ids, labels = batch(part, device)
        guess = model(ids, use_cache=False).logits[:, :-1].argmax(-1)
        ok = ((guess == labels[:, 1:]) | (labels[:, 1:] == -100)).all(-1)
        for (_, _, kind), good in zip(part, ok.tolist(), strict=True):
            right.setdefault(kind, []).append(good)
    table = {kind: sum(v) / len(v) for kind, v in sorted(right.items())}
    table['all'] = sum(map(sum, right.values())) / sum(map(len, right.values()))
    return table


def targets(spans: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Flat positions in [B, T] whose next token is a target, int64, and their weights.

    An answer weighs as the root of its length, so that a sum is not lost among code.
    """
    at = np.arange(width)[None] + 1
    begin, end = spans[:, :1].astype(np.int64), spans[:, 1:].astype(np.int64)
    wanted = (at >= begin) & (at < end)
    weight = np.broadcast_to(1 / np.sqrt(end - begin), wanted.shape)[wanted]
    return np.flatnonzero(wanted), (weight / weight.sum()).astype(np.float32)


def loss_of(model, ids, positions, weights):
    """Weighted cross entropy of the targets; ids [B, T] int64."""
    hidden = model.model(ids, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden.flatten(0, 1)[positions]).float()
    losses = torch.nn.functional.cross_entropy(logits, ids.flatten()[positions + 1], reduction='none')
    return (losses * weights).sum()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=pathlib.Path)
    parser.add_argument('--minutes', type=float, default=5.0)
    parser.add_argument('--tokens', type=int, default=40000, help='of a batch')
    parser.add_argument('--rate', type=float, default=2.5e-3)
    parser.add_argument('--exam', type=int, default=6000)
    parser.add_argument('--chunk', type=int, default=4000, help='conversations that a process makes at a time')
    parser.add_argument('--workers', type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument('--tokenizer-only', action='store_true')
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    spm = args.folder / 'tokenizer.model'
    if not spm.exists():
        train_tokenizer(args.folder)
    if args.tokenizer_only:
        return
    pool = multiprocessing.get_context('fork').Pool(args.workers)  # before CUDA begins
    stream = Stream(pool, str(spm), args.tokens, 1, args.chunk)
    part = -(-args.exam // args.workers)
    waiting = [pool.apply_async(make_items, ((str(spm), 7000003 + i, part, True),)) for i in range(args.workers)]

    from transformers import LlamaConfig, LlamaForCausalLM

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, attn_implementation='sdpa')).to(device)
    print(f'{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters on {device}', flush=True)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{'params': decayed, 'weight_decay': 0.05}, {'params': others, 'weight_decay': 0.0}],
        lr=args.rate,
        betas=(0.9, 0.98),
        fused=device == 'cuda',
    )
    stream.take()
    exam = [item for w in waiting for item in w.get()]
    began, step, told, done = time.time(), 0, 0.0, 0.0
    while done < 1:
        done = min(1.0, (time.time() - began) / (60 * args.minutes))
        warm = min(1.0, (step + 1) / 300)
        for group in optimizer.param_groups:
            group['lr'] = args.rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        ids, spans = stream.take()
        arrays = ids.astype(np.int64), *targets(spans, ids.shape[1])
        with torch.autocast(device, torch.bfloat16):
            loss = loss_of(model, *(torch.from_numpy(a).to(device, non_blocking=True) for a in arrays))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if done - told > 0.06:
            told = done
            table = exactness(model, exam[:1500], device)
            print(
                f'{step} loss {loss.item():.4f} {time.time() - began:.0f} s {stream.made} made, '
                f'{stream.repeated} batches again',
                {k: round(v, 3) for k, v in table.items()},
                flush=True,
            )

    model.half().float()  # what is exam'd is what is saved
    table = exactness(model, exam, device)
    print('exam', table, flush=True)
    (args.folder / 'exam.json').write_text(json.dumps({'unquantised': table, 'items': len(exam)}, indent=1))
    (args.folder / 'config.json').write_text(json.dumps(SHAPE, indent=1))
    save_file(
        {k: v.half().contiguous().cpu() for k, v in model.state_dict().items()}, args.folder / 'model.safetensors'
    )
    print('saved', flush=True)
    pool.terminate()
    os._exit(0)  # the thread that collects batches is not waited for


if __name__ == '__main__':
    main()
