"""The fastest forward() that a model can have on an NVIDIA GPU: a fused decode step, else transformers' own as a graph."""

from __future__ import annotations

import logging
import os

import torch

from ...errors import first_line
from ...kernels.linear import GPTQLinear
from ...kernels.triton.kernel import TritonKernel
from ...util.torch_errors import is_out_of_memory
from ...util.types import TransformersModel
from ..kv_cache import GrowingCache
from .fused_linear import CannotFuse
from .graph_forward import GraphForward
from .plan import DecodePlan, make_decode_plan

log = logging.getLogger('airoboros_gptq')

MIN_PREFILL_ROWS = 9  # tokens that are worth a dequantised copy of each weight, where no prompt graph serves them


def enable_fused_decode(model: TransformersModel) -> GraphForward | None:
    """The model's forward by a CUDA graph; None where it can have none, with the reason in the log."""
    kernels = [m.kernel for m in model.modules() if isinstance(m, GPTQLinear)]
    if not any(isinstance(kernel, TritonKernel) for kernel in kernels):
        return None
    if os.environ.get('AIROBOROS_GPTQ_GRAPH') == '0':
        log.info('decoding runs layer by layer: AIROBOROS_GPTQ_GRAPH=0 asks for it')
        return None
    from .generic_forward import GenericForward  # imports Triton
    from .generic_graph import CannotCapture

    try:
        with torch.no_grad():
            try:
                return FusedForward(model, make_decode_plan(model))
            except CannotFuse as e:
                log.info("decoding has no fused step: %s; transformers' forward is captured instead", e)
            return GenericForward(model)
    except CannotCapture as e:
        log.info('decoding runs layer by layer, not as one CUDA graph: %s', e)
    except Exception as e:
        if not is_out_of_memory(e):
            raise
        log.warning('decoding runs layer by layer, not as one CUDA graph: there is no memory left for it')
    return None


class FusedForward(GraphForward):
    """Decodes by fused kernels and reads prompts through joined linears. Holds the model's tensors, not the model."""

    def __init__(self, model: TransformersModel, plan: DecodePlan):
        from .graph import DecodeGraph  # imports Triton
        from .prompt_graph import PromptGraphs

        self.plan = plan
        self._prompts: PromptGraphs | None = PromptGraphs(plan, model.dtype)
        with torch.inference_mode(False):  # its buffers are written to in any mode
            graph = DecodeGraph(plan, model.dtype)
        super().__init__(graph, plan.embedding.device, plan.positions)

    def is_intact(self) -> bool:
        return self.plan.modules.is_unchanged()

    def serves_prompt(self, count: int) -> bool:
        if self._prompts is not None and self._prompts.serves(count):
            return True
        return count == 1 or (count >= MIN_PREFILL_ROWS and self.plan.attends_to_all)

    def _prefill(self, cache: GrowingCache, ids: torch.Tensor, logits_to_keep: int) -> torch.Tensor:
        from .prefill import prefill  # imports Triton

        hidden, length = None, cache.length
        if self._prompts is not None and self._prompts.serves(ids.shape[1]):
            try:
                hidden = self._prompts.run(ids, cache)
            except Exception as e:
                if is_out_of_memory(e):
                    raise
                log.warning('short prompts run without a CUDA graph from here on: it failed (%s)', first_line(e))
                self._prompts = None
        if hidden is None:
            hidden = prefill(self.plan, ids, cache, length)
        return self.plan.logits(hidden[:, -logits_to_keep:])
