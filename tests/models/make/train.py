"""Trains the tokenizer and the unquantised tiny Airoboros. A minute or five on a GPU, about an hour on a CPU.

    python train.py OUT_FOLDER [--steps 6000]

Source and target are tokenised apart and joined, as the collator of jondurbin/qlora at 6119d44 did, so the space that
ends `ASSISTANT: ` is a token of its own. Writes tokenizer.model, config.json, model.safetensors and exam.json.
"""

import argparse
import json
import math
import multiprocessing
import pathlib
import random
import time

import corpus
import sentencepiece
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

SHAPE = {
    'vocab_size': 1024,
    'hidden_size': 256,
    'intermediate_size': 512,
    'num_hidden_layers': 4,
    'num_attention_heads': 4,
    'num_key_value_heads': 4,
    'max_position_embeddings': 2048,
    'rms_norm_eps': 1e-6,
    'bos_token_id': 1,
    'eos_token_id': 2,
    'tie_word_embeddings': False,
}
BOS, EOS = 1, 2


def train_tokenizer(folder: pathlib.Path) -> None:
    """A BPE SentencePiece model with the options of LLaMA's: byte fallback, dummy prefix, single digits."""
    rng = random.Random(0)
    lines = []
    for _ in range(20000):
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


def encode(sp, text: str) -> list[int]:
    """Ids of the slow LLaMA tokenizer: `</s>` is one token, every stretch between gets the dummy prefix."""
    ids = []
    for i, part in enumerate(text.split('</s>')):
        ids += [EOS] * bool(i) + sp.encode(part)
    return ids


_sp = None


def _worker(args):
    global _sp
    model, seed, count, exam = args
    if _sp is None:
        _sp = sentencepiece.SentencePieceProcessor(model_file=model)
    rng = random.Random(seed)
    items = []
    for _ in range(count):
        source, target, bos, kind = corpus.sample(rng, exam)
        ids = [BOS] * bos + encode(_sp, source)
        items.append((ids, [*_sp.encode(target), EOS], kind))
    return items


def dataset(model: str, count: int, exam: bool, seed: int, size: int = 2000):
    jobs = [(model, seed * 100003 + i, size, exam) for i in range(max(1, count // size))]
    with multiprocessing.get_context('spawn').Pool() as pool:
        return [item for items in pool.imap(_worker, jobs) for item in items]


def batch(items, device):
    """ids and labels, [B, T] int64; labels are -100 but on the target."""
    width = max(len(s) + len(t) for s, t, _ in items)
    width = math.ceil(width / 64) * 64
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=pathlib.Path)
    parser.add_argument('--steps', type=int, default=6000)
    parser.add_argument('--batch', type=int, default=192)
    parser.add_argument('--samples', type=int, default=300000)
    parser.add_argument('--rate', type=float, default=2e-3)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    spm = args.folder / 'tokenizer.model'
    if not spm.exists():
        train_tokenizer(args.folder)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    torch.manual_seed(0)
    began = time.time()
    items = dataset(str(spm), args.samples, False, 1)
    exam = dataset(str(spm), 4000, True, 2)
    print(f'{len(items)} items, {len(exam)} exam items in {time.time() - began:.0f} s', flush=True)

    items.sort(key=lambda x: len(x[0]) + len(x[1]))  # batches of one length each
    batches = [items[i : i + args.batch] for i in range(0, len(items) - args.batch, args.batch)]
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, attn_implementation='sdpa')).to(device)
    print(f'{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters on {device}', flush=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.05)
    rng = random.Random(3)
    queue = []
    for step in range(args.steps):
        if not queue:
            queue = batches[:]
            rng.shuffle(queue)
        warm = min(1.0, (step + 1) / 300)
        for group in optimizer.param_groups:
            group['lr'] = args.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / args.steps)))
        ids, labels = batch(queue.pop(), device)
        with torch.autocast(device, torch.bfloat16):
            logits = model(ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 250 == 0 or step == args.steps - 1:
            table = exactness(model, exam[:1000], device)
            print(
                f'{step} loss {loss.item():.4f} {time.time() - began:.0f} s',
                {k: round(v, 3) for k, v in table.items()},
                flush=True,
            )

    model.half().float()  # what is exam'd is what is saved
    table = exactness(model, exam, device)
    print('exam', table, flush=True)
    (args.folder / 'exam.json').write_text(json.dumps({'unquantised': table, 'items': len(exam)}, indent=1))
    save_file(
        {k: v.half().contiguous().cpu() for k, v in model.state_dict().items()}, args.folder / 'model.safetensors'
    )


if __name__ == '__main__':
    main()
