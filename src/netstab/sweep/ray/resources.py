"""What a worker takes of Ray's nodes, and how many workers these have room for."""

from typing import Any

import ray

from netstab.errors import NetstabError
from netstab.params import Params
from netstab.sweep.ray import places


def alive() -> list[dict[str, Any]]:
    """Ray's nodes, as it describes them."""
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def gpus_there() -> float:
    """Number of GPUs of all nodes."""
    there: float = sum(node["Resources"].get("GPU", 0.0) for node in alive())
    return there


def share_of(params: Params, gpus: float | None, address: str | None) -> float:
    """The share of a GPU that a worker takes.

    Raises:
        NetstabError: it is at odds with `runtime.device`, or this machine has no such GPU.
    """
    device = params.runtime.device
    there = gpus_there()
    share = gpus
    if share is None:
        share = 0.0 if device == "cpu" or not there else 1.0
    if share and device == "cpu":
        raise NetstabError(
            f"--gpus-per-worker {share:g}: params.yaml says device: cpu under runtime; leave out "
            "the one, or set the other to auto"
        )
    if not share and device.startswith("cuda"):
        none = "--gpus-per-worker 0" if gpus is not None else "--ray: Ray has no GPU"
        raise NetstabError(
            f"{none}, but params.yaml says device: {device} under runtime; set it to auto or cpu, "
            "or wait for a node with one by --gpus-per-worker 1"
        )
    if address is None and share > there:
        raise NetstabError(
            f"--gpus-per-worker {share:g}: Ray finds {there:g} GPUs on this machine; ask for less, "
            "or name a cluster that has more"
        )
    return share


def params_of(params: Params, threads: int, gpus: float | None) -> Params:
    """The parameters of a worker, with its threads; a share of 0 asks for the CPU."""
    device = "cpu" if gpus == 0 else params.runtime.device
    runtime = params.runtime.model_copy(update={"threads": threads, "device": device})
    return params.model_copy(update={"runtime": runtime})


def room(there: dict[str, float], share: float, threads: int) -> float:
    """How many workers a node has room for; two of them never share a GPU beyond its whole."""
    cpus, gpus = there.get("CPU", 0.0) // threads, there.get("GPU", 0.0)
    if share >= 1:
        return min(cpus, gpus // share)
    return min(cpus, gpus // 1 * places.per_gpu(share)) if share else cpus


def describe(share: float, threads: int) -> str:
    """In words, how many nodes there are and how many workers they have room for."""
    there = [node["Resources"] for node in alive()]
    workers = sum(room(of, share, threads) for of in there)
    plural = "s" if len(there) > 1 else ""
    each = f"{share:g} GPU and " if share else ""
    each += f"{threads} CPU thread{'s'[: threads > 1]} each"
    if not workers:
        return f"Ray: {len(there)} node{plural}, none with {each}; waiting for one that has"
    return f"Ray: {len(there)} node{plural}, up to {workers:,.0f} side by side, {each}"
