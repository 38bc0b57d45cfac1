"""How files hold the experts that transformers fuses, for take_apart() of made_models.py."""

import torch

WHOLE = '{base}.{expert}.{part}'


def one(part, transposed, named=WHOLE):
    """A fused tensor that is one linear in the file."""

    def turn(w):
        return w.T.contiguous() if transposed else w

    return lambda w: {part: turn(w)}, lambda found: turn(found[part]), named


def halves(gate, up, transposed):
    """Two linears of the file, one after the other in the fused tensor."""

    def split(w):
        first, second = (w.T if transposed else w).chunk(2)
        return {gate: first.contiguous(), up: second.contiguous()}

    def join(found):
        w = torch.cat([found[gate], found[up]])
        return w.T.contiguous() if transposed else w

    return split, join, WHOLE


def alternating(gate, up):
    """Two linears of the file whose outputs alternate in the fused tensor, as gpt-oss has them."""

    def split(w):
        return {gate: w.T[::2].contiguous(), up: w.T[1::2].contiguous()}

    def join(found):
        return torch.stack([found[gate], found[up]], 1).flatten(0, 1).T.contiguous()

    return split, join, WHOLE


SWAPPED = '{base}.{part}.{expert}'
LAYOUTS = {
    'gpt_oss': ('gpt_oss', {'.gate_up_proj': one('gate_up_proj', True), '.down_proj': one('down_proj', True)}),
    'gpt_oss, part first': ('gpt_oss', {
        '.gate_up_proj': one('gate_up', True, SWAPPED), '.down_proj': one('down', True, SWAPPED)}),
    'gpt_oss, gate and up': ('gpt_oss', {
        '.gate_up_proj': alternating('gate_proj', 'up_proj'), '.down_proj': one('down_proj', True)}),
    'llama4': ('llama4_text', {'.gate_up_proj': halves('gate_proj', 'up_proj', True), '.down_proj': one('down_proj', True)}),
    'granitemoe': ('granitemoe', {
        f'.{n}_linear.weight': one('', False, '{base}.' + n + '_linear.{expert}') for n in ('input', 'output')}),
}  # fmt: skip
