"""The section `model` of `params.yaml`, the network's blocks, and what can be wrong with both."""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from netstab.params.fields import Section, Whole

PARTS = ("stem", "layer1", "layer2", "layer3", "layer4", "head")
"""Parts of the article's network from input to output; every parameter belongs to exactly one."""

NETWORKS: Mapping[str, tuple[str, ...]] = {
    "resnet18": PARTS,
    "resnet34": PARTS,
    "plain": PARTS,
    "wide_resnet": ("stem", "layer1", "layer2", "layer3", "head"),
    "vit": PARTS,
}
"""The networks that come with netstab, and their parts from input to output."""

NETWORK = "network"
"""The whole network beside its blocks, which are not called so."""

FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
NORMS: dict[str, tuple[str, ...]] = {
    "resnet18": ("batch", "group"),
    "resnet34": ("batch", "group"),
    "plain": ("batch", "group", "none"),
    "wide_resnet": ("batch", "group"),
    "vit": ("layer",),
}
"""Without a norm, residual networks need another initialisation (1901.09321)."""
BLOCK_NAME = re.compile(r"[A-Za-z0-9_]{1,60}")


class Model(Section):
    """`model`: the network; see docs/NETWORKS.md."""

    name: str = "resnet18"
    """`resnet18` (the article's), `resnet34`, `plain` (without shortcuts), `wide_resnet` (depth
    16), `vit`; or `package.module:function`, which makes one of your own."""
    norm: Literal["batch", "group", "layer", "none"] = "batch"
    """ResNets: `batch` or `group`; `plain`: also `none`; `vit`: `layer`. Of your own network: what
    it has."""
    width: Annotated[Whole, Field(ge=1, le=1024)] | None = None
    """Channels of layer1; each further layer has twice as many. `vit`: the embedding dimension.
    Empty for a network of your own."""
    arguments: dict[str, JsonValue] = Field(default={})
    """What the function of your own network is called with, beside `channels` and `classes`."""
    parts: dict[str, tuple[str, ...]] = Field(default={})
    """Parts of your own network, in the order of the forward pass, each a list of paths of modules;
    empty for its children that have parameters."""

    @property
    def is_own(self) -> bool:
        """Whether it is a network of the user's own."""
        return ":" in self.name

    @property
    def has_batch_norm(self) -> bool:
        """Whether there are batch statistics."""
        return self.norm == "batch"


Blocks = dict[str, tuple[str, ...]]
"""Block -> its parts."""


def _shown(text: str) -> str:
    return repr(text[:60])


def parts_of_network(model: Model, blocks: Blocks) -> tuple[str, ...]:
    """A network's parts; of one's own without `model.parts`, those that the blocks name."""
    named = tuple(model.parts) or tuple(chain.from_iterable(blocks.values()))
    return named if model.is_own else NETWORKS[model.name]


def model_faults(model: Model, image_size: int | None) -> Iterator[str]:
    """What is wrong with a network by itself, or with images of such a size."""
    if model.is_own:
        if not FACTORY.fullmatch(model.name):
            yield f"model.name: {_shown(model.name)} is no package.module:function"
        if model.width is not None:
            yield "model.width: is of netstab's own networks; leave it empty, or use arguments"
        for part in model.parts:
            if not BLOCK_NAME.fullmatch(part):
                yield f"model.parts.{part}: name parts with letters, digits and _ only, 60 at most"
        return
    if model.name not in NETWORKS:
        known = f"{', '.join(NETWORKS)}, or package.module:function"
        yield f"model.name: {_shown(model.name)} is no network; known are {known}"
        return
    if model.norm not in NORMS[model.name]:
        yield f"model.norm: {model.name} takes {' or '.join(NORMS[model.name])}, not {model.norm}"
    if model.width is None:
        yield f"model.width: is missing; {model.name} needs it"
    for key in ("arguments", "parts"):
        if getattr(model, key):
            yield f"model.{key}: are of a network of your own; remove them"
    if model.name == "vit":
        for key, value in (("model.width", model.width), ("data.image_size", image_size)):
            if value and value % 4:
                yield f"{key}: vit takes multiples of 4 (4 heads, patches of 4 pixels), not {value}"


def last_side(image_size: int, model: Model) -> int | None:
    """Pixels of a side of what the last layer sees; None where netstab cannot know."""
    if model.name not in NETWORKS or model.name == "vit":
        return None
    # Layers with stride 2 round up.
    return -(-image_size // (4 if model.name == "wide_resnet" else 8))


def partition_faults(blocks: Blocks, model: Model) -> Iterator[str]:
    """What keeps blocks from having each part of the network once."""
    if not model.is_own and model.name not in NETWORKS:
        return
    known = parts_of_network(model, blocks)
    told = ", ".join(known[:20])
    claimed: dict[str, str] = {}
    for block, parts in blocks.items():
        if not BLOCK_NAME.fullmatch(block):
            yield f"blocks.{block}: name blocks with letters, digits and _ only, 60 at most"
        if block == NETWORK:
            yield f"blocks.{block}: is what the whole network is called; name the block otherwise"
        if not parts:
            yield f"blocks.{block}: has no part; give it one or remove it"
        for part in parts:
            if part not in known:
                yield f"blocks.{block}: {_shown(part)} is no part; parts are {told}"
            elif not BLOCK_NAME.fullmatch(part):
                yield f"blocks.{block}: {_shown(part)} is no name of a part"
            if part in claimed:
                yield f"blocks.{block}: claims {part}, which block {claimed[part]} has; remove one"
            claimed[part] = block
    for part in known:
        if part not in claimed:
            yield f"blocks: leave out {part}; put it into one block"
