"""The article's statements: in words, with the runs that each needs and how it is tested."""

from collections.abc import Callable

from netstab.evidence.claims import article
from netstab.evidence.claims.comparability import (
    any_of,
    at_first_decay,
    decay_begins,
    decays,
    early_and_late,
    freezes_last,
    same_decay,
    same_decay_around,
)
from netstab.evidence.claims.compare import Claim, each, final, jitter, needs
from netstab.evidence.claims.statistics import above
from netstab.params import Params
from netstab.study.experiments import BASELINE, OUTPOST, Variant

CURVES = ("train_loss", "train_top1_pct", "val_loss", "val_top1_pct")


def _halves(*experiments: str) -> Callable[[Params], list[Variant]]:
    """Experiments on the early and the late blocks."""
    return lambda p: [
        Variant(x, b) for x in experiments for half in early_and_late(p) for b in half
    ]


STATEMENTS = (
    Claim(
        "A1",
        "The outpost ends with a lower training loss and a higher validation top-1 than the "
        "baseline",
        needs(references=(BASELINE, OUTPOST)),
        article.a1,
        decays("outpost"),
    ),
    Claim(
        "A2",
        "Decay in one block alone: training loss jumps down at each decay and ends below the "
        "baseline's, validation top-1 ends above it (each A/k)",
        needs("expA", references=(BASELINE,)),
        article.a2,
        decays("expA"),
    ),
    Claim(
        "A3",
        "Decay in all blocks gives a steadier validation top-1 than decay in one (each A/k)",
        needs("expA", references=(OUTPOST,)),
        lambda p: [jitter(OUTPOST, v, "val_top1_pct") for v in each(p, "expA")],
        same_decay("expA", "outpost"),
    ),
    Claim(
        "B1",
        "Training one block alone, at a constant rate, ends with a higher validation top-1 than "
        "training all (each B/k)",
        needs("expB", references=(BASELINE,)),
        lambda p: [final(v, BASELINE, "val_top1_pct", above()) for v in each(p, "expB")],
    ),
    Claim(
        "B2",
        "Training one block alone, at a constant rate, steadies training and validation loss and "
        "top-1 (each B/k)",
        needs("expB", references=(BASELINE,)),
        lambda p: [jitter(v, BASELINE, m) for v in each(p, "expB") for m in CURVES],
    ),
    Claim(
        "B3",
        "Freezing all blocks but one ends with a higher validation top-1 than decay in that block "
        "(each B/k against A/k)",
        needs("expA", "expB"),
        lambda p: [
            final(b, a, "val_top1_pct", above())
            for a, b in zip(each(p, "expA"), each(p, "expB"), strict=True)
        ],
        at_first_decay("expB", "freeze_epoch", "expA"),
    ),
    Claim(
        "C1",
        "The outpost ends with a higher validation top-1 than each C/k",
        needs("expC", references=(OUTPOST,)),
        lambda p: [final(OUTPOST, v, "val_top1_pct", above()) for v in each(p, "expC")],
        decay_begins("expC", "outpost"),
    ),
    Claim(
        "C2",
        "Each C/k's validation top-1 is nearer to the outpost's in steadiness than to the "
        "baseline's",
        needs("expC", references=(BASELINE, OUTPOST)),
        article.c2,
        decay_begins("expC", "outpost"),
    ),
    Claim(
        "C3",
        "C/256 and C/512 learn the training images all but completely; C/64 and C/128 do not",
        _halves("expC"),
        article.c3,
        decays("expC"),
        names_blocks=True,
    ),
    Claim(
        "C4",
        "C/64 and C/128 end with a higher validation top-1 than C/256 and C/512",
        _halves("expC"),
        article.c4,
        decays("expC"),
        names_blocks=True,
    ),
    Claim(
        "C5",
        "From its first decay on, the outpost's validation loss rises while top-1 rises and top-5 "
        "falls",
        needs(references=(OUTPOST,)),
        article.c5,
        decays("outpost"),
    ),
    Claim(
        "C6",
        "From the freeze on, validation loss rises and top-5 falls in C/256 and C/512, up to the "
        "outpost's loss; in C/64 and C/128 neither moves",
        lambda p: [OUTPOST, *_halves("expC")(p)],
        article.c6,
        decay_begins("expC", "outpost"),
        names_blocks=True,
    ),
    Claim(
        "C7",
        "At the freeze, validation loss jumps down and top-1 up, more in C/64 and C/128 than in "
        "C/256 and C/512",
        _halves("expA", "expC"),
        article.c7,
        same_decay_around("expC", "freeze_epoch", "expA"),
        names_blocks=True,
    ),
    Claim(
        "D1",
        "Freezing all blocks but one after the last decay leaves final validation top-1 and loss "
        "as they are (each D/k)",
        needs("expD", references=(OUTPOST,)),
        article.d1,
        any_of(same_decay("expD", "outpost"), freezes_last("expD")),
    ),
)
"""The article's claims, in its order."""
