"""Words that the figures and the page share."""

from netstab.params import Model

MEASURE_TITLES = {
    "val_top1_pct": "Validation top-1 (%)",
    "train_loss": "Training loss",
    "val_loss": "Validation loss",
    "train_top1_pct": "Training top-1 (%)",
    "val_top5_pct": "Validation top-5 (%)",
}
"""Measures in the order of the page; an experiment's first figure is drawn wide."""

EXPERIMENT_TITLES = {
    "expA": "Experiment A: decay in one block",
    "expB": "Experiment B: freeze all blocks but one",
    "expC": "Experiment C: decay in one block, then freeze the others",
    "expD": "Experiment D: decay everywhere, then freeze all blocks but one",
    "expE": "Experiment E: rival explanations (ours)",
    "expF": "Experiment F: cyclical rates (ours)",
    "own": "Interventions of your own",
}


EXPERIMENT_IDEAS = {
    "expA": "Only block k follows the outpost's step decay; every other block keeps its rate.",
    "expB": "No rate ever decays. From the freeze on, block k alone is trained.",
    "expC": "Block k decays while the others keep their rate; from the freeze on, "
    "block k alone is trained.",
    "expD": "The outpost's decay in every block; from the freeze on, block k alone is trained.",
    "expE": "Can something else than a falling rate have the outpost's gain? ema and bnrecal look "
    "at the baseline otherwise (averaged weights; recomputed batch-norm statistics), batch "
    "enlarges the batch where the rate would fall, head trains the last part alone (the article's "
    "linear head), and strict is experiment B with still batch-norm statistics.",
    "expF": "The article's outlook. The rate of every block falls along a cosine, falls along "
    "several with warm restarts, or goes in triangular cycles between low and high; then all keep "
    "the low rate, which is the outpost's last. Do they end as steady as steps, and when within a "
    "cycle is the network stable?",
    "own": "What the section own of params.yaml asks for.",
}


WITHOUT_BATCH_NORM = (
    "This network has no batch norm: bnrecal is the baseline itself, and strict is experiment B."
)
"""What that means for experiment E."""

NETWORK_TITLES = {
    "resnet18": "ResNet-18",
    "resnet34": "ResNet-34",
    "plain": "plain ResNet-18, without shortcuts",
    "wide_resnet": "wide ResNet-16",
    "vit": "small vision transformer",
}


def experiment_idea(experiment: str, model: Model) -> str:
    """What an experiment asks, of such a network."""
    idea = EXPERIMENT_IDEAS[experiment]
    has_all = experiment != "expE" or model.has_batch_norm
    return idea if has_all else f"{idea} {WITHOUT_BATCH_NORM}"


def network_title(model: Model) -> str:
    """`ResNet-18`, `ResNet-18 with group norm`, `network networks.example:net`."""
    if model.is_own:
        return f"network {model.name}"
    norm = {"group": " with group norm", "none": " and without norm"}.get(model.norm, "")
    return f"{NETWORK_TITLES[model.name]}{norm}"


def network_size(model: Model) -> str:
    """`, width 64`; nothing for a network of one's own."""
    return "" if model.width is None else f", width {model.width}"


def counted(number: int, what: str) -> str:
    """`1 epoch`, `10 epochs`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def significant(value: float, digits: int) -> str:
    """A number to so many digits, below a million without an exponent: `0.14`, `290`, `12,000`."""
    return f"{float(f'{value:.{digits}g}'):,g}"


def last(number: int, what: str) -> str:
    """`last epoch`, `last 10 epochs`."""
    return f"last {what if number == 1 else counted(number, what)}"


def shortened(text: str, limit: int) -> str:
    """The text, cut to `limit` characters with an ellipsis where it is longer."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
