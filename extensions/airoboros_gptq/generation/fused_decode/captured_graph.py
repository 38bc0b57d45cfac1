"""A forward pass over a KV cache that is found through a table of addresses, captured as one CUDA graph at its first run."""

from __future__ import annotations

import logging
import time

import torch

log = logging.getLogger('airoboros_gptq')


class CapturedGraph:
    """Subclasses launch kernels that read `state` and `addresses`, so that one graph serves every conversation and length.

    state int64 [2 or more]: tokens in the cache, its capacity. addresses int64 [2 * layers]: where keys and values [heads,
    capacity, dim] of each layer lie. Where there is no CUDA device, as in tests, each run launches the kernels again.
    """

    def __init__(self, what: str, state: torch.Tensor, addresses: torch.Tensor):
        """`what` names the pass in the log."""
        self.device = state.device
        self.state, self.addresses = state, addresses
        self._what = what
        self._buffers: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._graph: torch.cuda.CUDAGraph | None = None
        self._output: torch.Tensor | None = None

    @property
    def is_captured(self) -> bool:
        """Whether the graph exists by now."""
        return self._graph is not None

    def attach_cache(self, buffers: list[tuple[torch.Tensor, torch.Tensor]], length: int) -> None:
        """Continues in a cache: keys and values of its layers [1, heads, capacity, dim], the first `length` of them valid."""
        self._buffers = buffers  # kept alive while their addresses are in use
        addresses = [tensor.data_ptr() for pair in buffers for tensor in pair]
        self.addresses.copy_(torch.tensor(addresses, dtype=torch.int64))
        self.state[:2].copy_(torch.tensor([length, buffers[0][0].shape[2]], dtype=torch.int64))

    def detach(self) -> None:
        """Lets go of the cache it is attached to."""
        self._buffers = []

    def replay(self) -> torch.Tensor:
        """What _launch() returned when the graph was captured, with what this run wrote into it."""
        if self.device.type != 'cuda':
            return self._launch()
        if self._graph is None:
            self._graph, self._output = self._capture()
        self._graph.replay()
        assert self._output is not None
        return self._output

    def _launch(self) -> torch.Tensor:
        raise NotImplementedError

    def _capture(self) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
        started = time.perf_counter()
        state = self.state.clone()
        side = torch.cuda.Stream(self.device)
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side), torch.inference_mode(False), torch.no_grad():
            for _ in range(2):  # compiles kernels, and lets cuBLAS allocate its workspace
                self._launch()
                self.state.copy_(state)
        torch.cuda.current_stream(self.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.cuda.graph(graph, capture_error_mode='thread_local'),
        ):
            output = self._launch()
        log.info('%s as one CUDA graph, captured in %.1f s', self._what, time.perf_counter() - started)
        return graph, output


def address_table(layers: int, device: torch.device, state: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """`state` numbers and the addresses of `layers` layers, of zeros, which can be written to in any mode."""
    with torch.inference_mode(False):
        return tuple(torch.zeros(n, dtype=torch.int64, device=device) for n in (state, 2 * layers))  # type: ignore[return-value]
