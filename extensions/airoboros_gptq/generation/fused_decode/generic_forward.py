"""forward() of any model of transformers: its own forward pass as a CUDA graph for one token, and as it is for prompts."""

from __future__ import annotations

import logging
import weakref

import torch

from ...util.types import TransformersModel
from ..kv_cache import GrowingCache, cache_name, make_cache
from .generic_graph import CannotCapture, GenericGraph, plain_forward
from .graph_forward import GraphForward
from .module_snapshot import ModuleSnapshot

log = logging.getLogger('airoboros_gptq')

_MAX_DEVIATION = 0.05  # of the graph's logits from transformers' own, relative to their norm: rounding stays far below


class GenericForward(GraphForward):
    """Captures the forward pass of the model's class. Before its first answer it is compared with that forward pass."""

    def __init__(self, model: TransformersModel):
        """Raises CannotCapture."""
        if make_cache(model) is None:
            raise CannotCapture(f'the cache of a {type(model).__name__} does not grow in place')
        graph = GenericGraph(model)
        config = model.config.get_text_config(decoder=True)
        super().__init__(graph, graph.device, getattr(config, 'max_position_embeddings', None) or 1 << 30)
        self._model = weakref.ref(model)
        self._modules = ModuleSnapshot(model)
        self._is_verified = False

    def is_intact(self) -> bool:
        return self._modules.is_unchanged()

    def _decode_one(self, cache: GrowingCache, token: torch.Tensor) -> torch.Tensor:
        if self._is_verified:
            return super()._decode_one(cache, token)
        model = self._model()
        assert model is not None
        twin = cache.fork(cache.length)
        expected = plain_forward(model)(
            model, input_ids=token, use_cache=True, **{cache_name(type(model)): twin}
        ).logits[:, -1:]
        logits = super()._decode_one(cache, token)
        deviation = float((logits.float() - expected.float()).norm() / expected.float().norm())
        if not deviation < _MAX_DEVIATION:
            cache.crop_to(cache.length - 1)
            raise RuntimeError(f'its logits differ by {deviation:.0%} from those of transformers')
        self._is_verified = True
        return logits
