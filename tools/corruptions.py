"""Damages model folders at random. Every damage is one function of a folder and a random.Random, and returns what it did
and what may still come of the folder, besides a GPTQError:

SAME    a model that answers as before
FINITE  a model that answers otherwise, for its numbers were changed, but with numbers
FILLED  a model that lacks nothing, for config.json may claim what no tensor refutes (another rope_theta)
REFUSED nothing: each answer would be gibberish
"""

import json
import os
import struct

import torch
from safetensors.torch import load_file, save_file
from support import ACT_ORDER, PLAIN, TINY, copy_tiny, edit_json

SAME, FINITE, FILLED, REFUSED = 'same', 'finite', 'filled', 'refused'
JSON = ('quantize_config.json', 'config.json', 'generation_config.json', 'tokenizer_config.json', 'tokenizer.json')
INDEX = 'model.safetensors.index.json'
# fmt: off
ODD = (
    None, True, -1, 0, 1, 3, 10**6, 10**9, 2**40, 2**63 - 1, 10**30, 0.5, -0.0, float('nan'), float('inf'), '', 'x',
    'gptq_v2', 'a\nb\x1b', '\ud800',
)
ODDER = (
    [], {}, [1], ['x', None], {'a': 1}, '../x', '/dev/zero', '4', 'float16', 'LlamaTokenizer', -(10**30), 'é' * 3000,
)
NAMES = (
    '', 'weight', 'model', 'model.layers.0', 'model.norm.weight.qweight', 'lm_head.scales', '__metadata__', 'a\nb.qweight',
)
# fmt: on


def make_folders(parent):
    """Valid folders of one layer: in sequence, with act-order, and in two shards with an index."""
    for name, checkpoint in (('plain', PLAIN), ('act-order', ACT_ORDER), ('sharded', ACT_ORDER)):
        folder = copy_tiny(parent / name)
        edit_json(folder / 'config.json', num_hidden_layers=1)
        tensors = {n: t for n, t in load_file(TINY / checkpoint).items() if '.layers.' not in n or '.layers.0.' in n}
        if name == 'sharded':
            names = sorted(tensors)
            shards = [f'model-0000{i}-of-00002.safetensors' for i in (1, 2)]
            for shard, half in zip(shards, (names[::2], names[1::2]), strict=True):
                save_file({n: tensors[n] for n in half}, folder / shard, metadata={'format': 'pt'})
            weight_map = {n: shards[i % 2] for i, n in enumerate(names)}
            (folder / INDEX).write_text(json.dumps({'metadata': {}, 'weight_map': weight_map}, indent=1))
        else:
            save_file(tensors, folder / 'model.safetensors', metadata={'format': 'pt'})
        yield folder


def damage(folder, rng):
    """One to three damages: (what was done, what may come of it)."""
    done = [_damage_once(folder, rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    worst = max((allowed for _, allowed in done), key=(SAME, FINITE, FILLED, REFUSED).index)
    if len(done) > 1 and worst == REFUSED:
        worst = FILLED  # a later damage may have taken it out again
    return '; '.join(what for what, _ in done), worst


def _damage_once(folder, rng):
    try:
        return rng.choice(DAMAGES)(folder, rng)
    except (MemoryError, RecursionError):  # a file that was made endless before
        return 'nothing', SAME


def weights(folder, rng):
    found = sorted(p for p in folder.glob('*.safetensors') if p.is_file())
    return rng.choice(found) if found else None


def mangle(raw, rng):
    """Bytes with some flipped, cut out, doubled, made zero or put in."""
    raw = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at, length = rng.randrange(len(raw) + 1), rng.choice((1, 1, 2, 8, 100))
        kind = rng.randrange(6)
        if kind == 0 and at < len(raw):
            raw[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(raw):
            raw[at] = rng.choice(b'0123456789"{}[],:.-eE\\ \n\x00\xff')
        elif kind == 2:
            del raw[at : at + length]
        elif kind == 3:
            raw[at:at] = raw[at : at + length]
        elif kind == 4:
            raw[at : at + length] = bytes(len(raw[at : at + length]))
        else:
            raw[at:at] = rng.randbytes(length)
    return bytes(raw)


def split(path):
    """The header and the tensors' bytes of a safetensors file that is still sound enough; None where it is not."""
    raw = path.read_bytes()
    length = struct.unpack('<Q', raw[:8])[0] if len(raw) >= 8 else len(raw)
    return (raw[8 : 8 + length], raw[8 + length :]) if length <= len(raw) else None


def join(path, header, data):
    path.write_bytes(struct.pack('<Q', len(header)) + header + data)


def json_bytes(folder, rng):
    path = rng.choice([p for p in sorted(folder.iterdir()) if p.suffix == '.json' and p.is_file()])
    before = path.read_bytes()
    path.write_bytes(mangle(before, rng))
    return f'bytes of {path.name}', FILLED if path.name == 'config.json' else SAME


def json_value(folder, rng):
    path = rng.choice([folder / n for n in (*JSON, INDEX) if (folder / n).is_file()])
    try:
        value = json.loads(path.read_text(encoding='utf-8'))
        holder = value
        while rng.random() < 0.6 and (inner := [v for v in holder.values() if isinstance(v, dict) and v]):
            holder = rng.choice(inner)
        key = rng.choice(list(holder))
    except (ValueError, AttributeError, IndexError):
        return 'nothing', SAME
    kind = rng.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[rng.choice([*holder, 'x', 'auto_map', 'quantization_config', 'text_config'])] = holder.pop(key)
    else:
        holder[key] = rng.choice(ODD + ODDER)
    path.write_text(json.dumps(value), encoding='utf-8')
    return (
        f'{path.name}: {key} {("deleted", "renamed", "changed", "changed")[kind]} to {str(holder.get(key))[:40]!r}',
        (FILLED if path.name == 'config.json' else SAME),
    )


def file_lost(folder, rng):
    path = rng.choice([p for p in sorted(folder.iterdir()) if p.is_file()])
    new = folder / rng.choice(
        ('x', 'x.safetensors', 'model-00002-of-00003.safetensors', 'pytorch_model.bin', 'quant_config.json')
    )
    kind = rng.randrange(6)
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.rename(new)
    elif kind == 2:
        path.write_bytes(b'')
    elif kind == 3:
        path.unlink()
        path.symlink_to(path.name)
    elif kind == 4:
        path.unlink()
        path.mkdir()
    else:
        new.write_bytes(path.read_bytes())
    # Without its config.json or the like a folder may still be read by rules of thumb.
    return f'{path.name} lost in way {kind} ({new.name})', FILLED if path.name == 'config.json' else SAME


def truncated(folder, rng):
    path = weights(folder, rng) or rng.choice([p for p in sorted(folder.iterdir()) if p.is_file()])
    if not path.is_file():
        return 'nothing', SAME
    raw = path.read_bytes()
    path.write_bytes(
        raw[: rng.choice((rng.randrange(len(raw) + 1), rng.randrange(min(len(raw), 9000) + 1), len(raw) - 1))]
    )
    return f'{path.name} truncated', SAME


def header_bytes(folder, rng):
    path = weights(folder, rng)
    parts = split(path) if path else None
    if parts is None:
        return 'nothing', SAME
    header = mangle(parts[0], rng)
    if rng.random() < 0.2:
        path.write_bytes(rng.randbytes(rng.choice((1, 2, 8))) + path.read_bytes()[8:])
    elif rng.random() < 0.2:
        path.write_bytes(path.read_bytes()[:8] + header + parts[1])
    else:
        join(path, header, parts[1])
    named = (
        b'"lm_head.weight"' in header or b'lm_head.weight' not in parts[0]
    )  # else the embeddings serve as one, with a warning
    return f'bytes of the header of {path.name}', SAME if named else FINITE


def header_entry(folder, rng):
    path = weights(folder, rng)
    try:
        header, data = split(path)
        entries = json.loads(header)
        name = rng.choice(list(entries))
        other = rng.choice(list(entries))
        entry = entries[name]
        key = rng.choice(('dtype', 'shape', 'data_offsets'))
        kind = rng.randrange(7)
        if kind == 0:
            entries[name] = rng.choice(ODD + ODDER)
        elif kind == 1:
            entry[key] = rng.choice(ODD + ODDER)
        elif kind == 2:
            entry[key] = entries[other][key]
        elif kind == 3 and key != 'dtype':
            entry[key][rng.randrange(len(entry[key]))] = rng.choice(ODD)
        elif kind == 4:
            entry['data_offsets'] = [n + rng.choice((-4, 4, 2**40)) for n in entry['data_offsets']]
        elif kind == 5:
            entries[rng.choice((*NAMES, name + 'x', name.replace('0', '1')))] = entries.pop(name)
        else:
            entry['dtype'] = rng.choice(('F8_E4M3', 'F4', 'BOOL', 'I64', 'U32', 'C64', 'F16', 'BF16', 'I32', 'F32'))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, UnicodeError):
        return 'nothing', SAME
    join(path, json.dumps(entries).encode(), data)
    # Half precision of one kind read as the other, or one tensor's bytes as another's, are sound files.
    return f'header of {path.name}: {name} {key} in way {kind}', FINITE if kind in (
        2,
        6,
    ) or name == 'lm_head.weight' else SAME


def data_bytes(folder, rng):
    path = weights(folder, rng)
    parts = split(path) if path else None
    if parts is None or not parts[1]:
        return 'nothing', SAME
    data = bytearray(parts[1])
    at, length = rng.randrange(len(data)), rng.choice((1, 1, 64, 4096, 100_000, len(data)))
    stretch = data[at : at + length]
    data[at : at + length] = rng.choice((bytes(len(stretch)), b'\xff' * len(stretch), rng.randbytes(len(stretch))))
    join(path, parts[0], bytes(data))
    return f'{len(stretch)} bytes of tensors in {path.name}', FINITE


def tensors(folder, rng):
    path = weights(folder, rng)
    try:
        held = load_file(path)
        name, other = rng.choice(list(held)), rng.choice(list(held))
    except Exception:  # it was damaged before
        return 'nothing', SAME
    held = {n: t.clone() for n, t in held.items()}
    value, kind, allowed = held[name], rng.randrange(9), SAME
    if kind == 0:
        del held[name]
        allowed = FINITE if name == 'lm_head.weight' else SAME
    elif kind == 1:
        module = name.rpartition('.')[0]
        allowed = FINITE if module == 'lm_head' else SAME  # its embeddings serve as one, with a warning
        held = {n: t for n, t in held.items() if not n.startswith(module)}
    elif kind == 2:
        held[rng.choice((*NAMES[:-1], other, f'{name}.x', name.replace('layers.0', 'layers.1')))] = held.pop(name)
        allowed = FINITE
    elif kind == 3:
        shape = list(value.shape)
        axis = rng.randrange(len(shape))
        shape[axis] = rng.choice((0, 1, shape[axis] + 1, shape[axis] * 2, shape[axis] // 2))
        held[name] = torch.ones(shape).to(value.dtype)
        allowed = FINITE
    elif kind == 4:
        held[name] = rng.choice(
            (value.reshape(-1), value[None], value.t() if value.dim() == 2 else value, value.reshape(2, -1))
        )
        allowed = FINITE  # a square one, transposed, has the shape it had
    elif kind == 5:
        held[name] = value.to(
            rng.choice((torch.float32, torch.bfloat16, torch.int32, torch.int64, torch.uint8, torch.float64))
        )
        allowed = FINITE
    elif kind == 6:
        held[name], held[other] = held[other], value
        allowed = FINITE
    elif kind == 7:
        held[rng.choice(('model.extra', f'{name}.x', 'model.layers.0.mlp.up_proj.weight', 'x.qzeros'))] = value.clone()
    elif value.numel():
        flat = value.view(-1)
        flat[rng.randrange(len(flat))] = rng.choice(
            (0, -1, float('nan'), float('inf')) if value.is_floating_point() else (0, -1, 2**31 - 1)
        )
        allowed = FINITE
    if name.startswith('lm_head') or (kind == 6 and other.startswith('lm_head')):
        allowed = FINITE  # without one its embeddings serve, with a warning
    save_file({n: t.contiguous() for n, t in held.items()}, path)
    return f'{path.name}: {name} ({other}) in way {kind}', allowed


def never_filled(folder, rng):
    """Zeros from within a row to within a later one, or to the end: what a download that preallocates its file leaves."""
    path = weights(folder, rng)
    try:
        header, data = split(path)
        held = [e for n, e in json.loads(header).items() if n != '__metadata__']
        places = [e['data_offsets'][0] + rng.randrange(rows) * row + row // 2 for e in held for rows, row in [_rows(e)]]
        begin = rng.choice([p for p in places if p < len(data) - 300_000])
        end = rng.choice([len(data), *(p for p in places if p > begin + 200_000)])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ZeroDivisionError):
        return 'nothing', SAME
    join(path, header, data[:begin] + bytes(end - begin) + data[end:])
    return f'{end - begin} bytes of {path.name} were never filled', REFUSED


def _rows(entry):
    """(rows, bytes of a row) of a tensor."""
    begin, end = entry['data_offsets']
    rows = max((end - begin) // (entry['shape'][-1] * {'F16': 2, 'F32': 4, 'I32': 4}[entry['dtype']]), 1)
    return rows, (end - begin) // rows


def no_file(folder, rng):
    """A FIFO, a device, a terabyte or JSON without end in place of a file, or beside them."""
    names = [p.name for p in folder.iterdir()]
    name = rng.choice(
        (*names, 'README.md', 'special_tokens_map.json', 'added_tokens.json', 'chat_template.jinja', 'vocab.json')
    )
    path, kind = folder / name, rng.choice(('FIFO', 'device', 'terabyte', 'deep', 'wide'))
    if path.is_dir():
        return 'nothing', SAME
    path.unlink(missing_ok=True)
    if kind == 'FIFO':
        os.mkfifo(path)
    elif kind == 'device':
        path.symlink_to('/dev/zero')
    elif kind == 'terabyte':
        path.touch()
        os.truncate(path, 2**40)
    else:
        path.write_bytes(b'{"a":' * 200_000 if kind == 'deep' else b'[' + b'[],' * 3_500_000 + b'1]')
    return f'{name} as {kind}', SAME


def huge_number(folder, rng):
    """A whole number of config.json or generation_config.json, or one that transformers knows and the file leaves out."""
    path = folder / rng.choice(('config.json', 'config.json', 'generation_config.json', 'tokenizer_config.json'))
    if not path.is_file():  # a device, without end, may stand there
        return 'nothing', SAME
    try:
        value = json.loads(path.read_text(encoding='utf-8'))
        known = [k for k, v in value.items() if type(v) is int]
        key = rng.choice(
            (*known, 'num_labels', 'num_mtp_layers', 'head_dim', 'num_beams', 'max_length', 'pretraining_tp')
        )
        value[key] = rng.choice((10**9, 2**31, 2**40, 10**6, -(2**31)))
    except (ValueError, AttributeError, OSError):
        return 'nothing', SAME
    path.write_text(json.dumps(value), encoding='utf-8')
    return f'{path.name}: {key} is {value[key]}', FILLED if path.name == 'config.json' else SAME


DAMAGES = (
    json_bytes,
    json_value,
    json_value,
    file_lost,
    truncated,
    header_bytes,
    header_entry,
    data_bytes,
    tensors,
    tensors,
    never_filled,
    no_file,
    huge_number,
)
