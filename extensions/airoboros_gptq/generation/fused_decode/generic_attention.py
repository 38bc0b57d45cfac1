"""Attention of one new token over a KV cache that is found through a table of addresses, for any model of transformers.

Stands among transformers' attention functions while a model's forward pass is captured as a CUDA graph (generic_graph.py). The
heads that share keys and values are computed together on tensor cores; a long cache is split among programs, and the last of
them to finish combines the parts, as in "Flash-Decoding" (Dao et al., 2023).
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from ...kernels.triton.dtypes import TRITON_TYPES
from .activation import tanh
from .captured_graph import address_table

SPLITS, BLOCK = 32, 64


@triton.jit(do_not_specialize=['layer'])
def decode_attention_kernel(
    query, new_key, new_value, state, addresses, layer, sinks, y, partial, running, counters, scale, softcap,
    GROUP: tl.constexpr, ROWS: tl.constexpr, DIM: tl.constexpr, DIM_PAD: tl.constexpr, VALUE_DIM: tl.constexpr,
    VALUE_PAD: tl.constexpr, CACHE: tl.constexpr, WINDOW: tl.constexpr, HAS_SOFTCAP: tl.constexpr, HAS_SINKS: tl.constexpr,
    SPLITS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """query [H, DIM], new_key [H / GROUP, DIM] and new_value [H / GROUP, VALUE_DIM] to y [H, VALUE_DIM], in the cache's dtype.

    state int64 [2]: tokens in the cache, its capacity. addresses int64 [2 * layers]: where keys and values
    [H / GROUP, capacity, .] of each layer lie; the new token is written there. sinks [H]: a logit that takes its share of the
    weights and has no value. partial fp32 [H, SPLITS, VALUE_PAD], running fp32 [H, SPLITS, 2] (maximum and sum of the
    softmax) and counters int32 [H / GROUP], of zeros, are scratch. ROWS is GROUP, padded to what tensor cores take. WINDOW is
    0 for none.
    """
    kv_head, split = tl.program_id(0), tl.program_id(1)
    length, capacity = tl.load(state), tl.load(state + 1)
    first = length * 0
    if WINDOW > 0:
        first = tl.maximum(length + 1 - WINDOW, 0)
    held = length - first
    share = tl.cdiv(tl.cdiv(held, SPLITS), BLOCK) * BLOCK
    working = tl.maximum(tl.cdiv(held, tl.maximum(share, 1)), 1)
    if split < working:
        g = tl.arange(0, ROWS)
        d = tl.arange(0, DIM_PAD)
        e = tl.arange(0, VALUE_PAD)
        head = kv_head * GROUP + g
        in_group = g < GROUP
        in_key = d < DIM
        in_value = e < VALUE_DIM
        keys = tl.load(addresses + 2 * layer).to(tl.pointer_type(CACHE)) + kv_head * capacity * DIM
        values = tl.load(addresses + 2 * layer + 1).to(tl.pointer_type(CACHE)) + kv_head * capacity * VALUE_DIM
        keys, values = tl.multiple_of(keys, 16), tl.multiple_of(values, 16)
        q_mask = in_group[:, None] & in_key[None, :]
        q = tl.load(query + head[:, None] * DIM + d[None, :], mask=q_mask, other=0)
        m_i = tl.full([ROWS], float('-inf'), tl.float32)
        l_i = tl.zeros([ROWS], tl.float32)
        acc = tl.zeros([ROWS, VALUE_PAD], tl.float32)
        if split == 0:
            k_new = tl.load(new_key + kv_head * DIM + d, mask=in_key, other=0)
            v_new = tl.load(new_value + kv_head * VALUE_DIM + e, mask=in_value, other=0)
            tl.store(keys + length * DIM + d, k_new, mask=in_key)
            tl.store(values + length * VALUE_DIM + e, v_new, mask=in_value)
            m_i = tl.sum(q.to(tl.float32) * k_new.to(tl.float32)[None, :], 1) * scale
            if HAS_SOFTCAP:
                m_i = softcap * tanh(m_i / softcap)
            l_i += 1
            acc += v_new.to(tl.float32)[None, :]
        begin = first + split * share
        end = tl.minimum(begin + share, length)
        for start in range(begin, end, BLOCK):
            t = start + tl.arange(0, BLOCK)
            inside = t < end
            k = tl.load(keys + t[None, :] * DIM + d[:, None], mask=inside[None, :] & in_key[:, None], other=0)
            v = tl.load(values + t[:, None] * VALUE_DIM + e[None, :], mask=inside[:, None] & in_value[None, :], other=0)
            s = tl.dot(q, k, input_precision='ieee') * scale
            if HAS_SOFTCAP:
                s = softcap * tanh(s / softcap)
            s = tl.where(inside[None, :], s, float('-inf'))
            m_new = tl.maximum(m_i, tl.max(s, 1))
            rescale = tl.exp(m_i - m_new)
            p = tl.exp(s - m_new[:, None])
            l_i = l_i * rescale + tl.sum(p, 1)
            acc = acc * rescale[:, None] + tl.dot(p.to(CACHE), v, input_precision='ieee')
            m_i = m_new
        if working == 1:
            if HAS_SINKS:
                l_i += tl.exp(tl.load(sinks + head, mask=in_group, other=0).to(tl.float32) - m_i)
            out = acc / l_i[:, None]
            y_mask = in_group[:, None] & in_value[None, :]
            tl.store(y + head[:, None] * VALUE_DIM + e[None, :], out.to(y.dtype.element_ty), mask=y_mask)
        else:
            at = head * SPLITS + split
            tl.store(partial + at[:, None] * VALUE_PAD + e[None, :], acc, mask=in_group[:, None])
            tl.store(running + 2 * at, m_i, mask=in_group)
            tl.store(running + 2 * at + 1, l_i, mask=in_group)
            tl.debug_barrier()  # every thread has written before one of them says so
            before = tl.atomic_add(counters + kv_head, 1, sem='acq_rel')
            if before == working - 1:
                n = tl.arange(0, SPLITS)
                wrote = n < working
                for i in tl.static_range(GROUP):
                    # From the second-level cache (.cg): what this processor's own cache holds may be older.
                    one = kv_head * GROUP + i
                    m_n = tl.load(
                        running + 2 * (one * SPLITS + n), mask=wrote, other=float('-inf'), cache_modifier='.cg'
                    )
                    l_n = tl.load(running + 2 * (one * SPLITS + n) + 1, mask=wrote, other=0, cache_modifier='.cg')
                    parts = tl.load(
                        partial + (one * SPLITS + n)[:, None] * VALUE_PAD + e[None, :],
                        mask=wrote[:, None], other=0, cache_modifier='.cg',
                    )  # fmt: skip
                    m = tl.max(m_n, 0)
                    weight = tl.exp(m_n - m)
                    total = tl.sum(l_n * weight, 0)
                    if HAS_SINKS:
                        total += tl.exp(tl.load(sinks + one).to(tl.float32) - m)
                    out = tl.sum(parts * weight[:, None], 0) / total
                    tl.store(y + one * VALUE_DIM + e, out.to(y.dtype.element_ty), mask=in_value)
                tl.store(counters + kv_head, 0)


class DecodeAttention:
    """The attention function of one captured model: its address table, its state, and scratch memory that all layers share."""

    def __init__(self, layers: int, device: torch.device):
        self.state, self.addresses = address_table(layers, device)
        self._scratch: dict[tuple[int, int, int], tuple[torch.Tensor, ...]] = {}

    def __call__(
        self,
        module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask=None,
        scaling: float | None = None,
        dropout: float = 0.0,
        sliding_window: int | None = None,
        softcap: float | None = None,
        s_aux: torch.Tensor | None = None,
        **kwargs,
    ) -> tuple[torch.Tensor, None]:
        """As transformers calls it for one new token: query [1, H, 1, D], key [1, H / group, 1, D] and value
        [1, H / group, 1, E], those of the new token alone, to [1, 1, H, E].
        """
        _, heads, _, dim = query.shape
        kv_heads, value_dim = key.shape[1], value.shape[3]
        query, key, value = (t.reshape(t.shape[1], t.shape[3]).contiguous() for t in (query, key, value))
        y = torch.empty(heads, value_dim, dtype=query.dtype, device=query.device)
        value_pad, group = max(16, triton.next_power_of_2(value_dim)), heads // kv_heads
        partial, running, counters = self._memory(heads, kv_heads, value_pad, query.device)
        decode_attention_kernel[(kv_heads, SPLITS)](
            query, key, value, self.state, self.addresses, module.layer_idx, query if s_aux is None else s_aux, y,
            partial, running, counters, dim**-0.5 if scaling is None else scaling, softcap or 0.0,
            GROUP=group, ROWS=max(16, triton.next_power_of_2(group)), DIM=dim, DIM_PAD=max(16, triton.next_power_of_2(dim)),
            VALUE_DIM=value_dim, VALUE_PAD=value_pad, CACHE=TRITON_TYPES[query.dtype], WINDOW=sliding_window or 0,
            HAS_SOFTCAP=bool(softcap), HAS_SINKS=s_aux is not None, SPLITS=SPLITS, BLOCK=BLOCK,
            num_warps=4, num_stages=2,
        )  # fmt: skip
        return y.view(1, 1, heads, value_dim), None

    def _memory(self, heads: int, kv_heads: int, value_pad: int, device) -> tuple[torch.Tensor, ...]:
        shape = heads, kv_heads, value_pad
        if shape not in self._scratch:
            self._scratch[shape] = (
                torch.zeros(heads, SPLITS, value_pad, dtype=torch.float32, device=device),
                torch.zeros(heads, SPLITS, 2, dtype=torch.float32, device=device),
                torch.zeros(kv_heads, dtype=torch.int32, device=device),
            )
        return self._scratch[shape]
