"""CUDA graphs: kernels of a step recorded once, and launched together from then on."""

import sys
from collections.abc import Sequence

import torch

from netstab.training.step import Recorder, Work


class CudaRecorder:
    """Records into `torch.cuda.CUDAGraph`s, on a stream of its own.

    Warming up is done on that stream as well: autograd remembers the stream on which a parameter
    was first used, and a recording must not reach beyond its own.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def aside(self, work: Work) -> None:
        """See `Recorder`."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            work()
        current.wait_stream(self._stream)

    def record(self, works: Sequence[Work]) -> list[Work]:
        """See `Recorder`; the graphs share one pool of memory, which goes with the last of them."""
        graphs: list[torch.cuda.CUDAGraph] = []
        with torch.cuda.device(self._device):
            for work in works:
                graph = torch.cuda.CUDAGraph()
                pool = graphs[0].pool() if graphs else None
                # Other threads may use the device meanwhile, to save a state for instance.
                with torch.cuda.graph(
                    graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"
                ):
                    work()
                graphs.append(graph)
        return [graph.replay for graph in graphs]


def recorder(device: torch.device) -> Recorder | None:
    """A recorder for the device; None, with a word about it, where there is no such thing."""
    if device.type == "cuda":
        return CudaRecorder(device)
    print(
        f"note: runtime.cuda_graphs has no effect on this device ({device.type}): "
        "steps run one operation at a time",
        file=sys.stderr,
    )
    return None
