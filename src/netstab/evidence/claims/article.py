"""The checks of the article's statements that take more than a line.

Decisions that the article's words leave open:

* A2: jumps are net of the baseline's at the same epochs, since a falling curve alone is no jump;
  there is one check for each decay.
* B2, A3, C2: jitters of the compared runs are taken over the same window.
* C5, C6: 'rises' and 'falls' are from the window that begins at the first decay (C5) or the freeze
  (C6) to the last epochs; 'neither' is equivalence to no change at all.
* C7: jumps are net of A/k's, which C/k leaves at the freeze; then each early block is held against
  each late one, and each early block's own net jump against zero.
* Claims that name blocks (C3, C4, C6, C7) are about the first and the second half of the blocks.
"""

from itertools import product

import numpy as np

from netstab.evidence.claims.checks import LOG_RATIO, PERCENT, Check, Effect, unit_of
from netstab.evidence.claims.comparability import early_and_late, first_decay
from netstab.evidence.claims.compare import each, final, less, net_jump, rise
from netstab.evidence.claims.effects import Study
from netstab.evidence.claims.statistics import above, below, within
from netstab.evidence.summary.windows import Floats
from netstab.params import Params
from netstab.study.experiments import BASELINE, OUTPOST, Variant


def a1(_params: Params) -> list[Check]:
    """Training loss and validation top-1 at the end."""
    return [
        final(OUTPOST, BASELINE, "train_loss", below()),
        final(OUTPOST, BASELINE, "val_top1_pct", above()),
    ]


def a2(params: Params) -> list[Check]:
    """Jumps at each decay, and figures at the end."""
    checks = []
    for variant in each(params, "expA"):
        for epoch in map(params.train.at_scale, params.expA.decay_epochs):
            name = f"{variant.name}: jump of train_loss at {epoch}, less baseline's"
            effect = net_jump(variant, BASELINE, "train_loss", epoch)
            checks.append(Check(name, unit_of("train_loss"), below(), effect))
        checks.append(final(variant, BASELINE, "train_loss", below()))
        checks.append(final(variant, BASELINE, "val_top1_pct", above()))
    return checks


def c2(params: Params) -> list[Check]:
    """Jitter on the side of the outpost's, given that the outpost's is the smaller."""
    measure, variants = "val_top1_pct", each(params, "expC")

    def log_jitter(study: Study, variant: Variant) -> Floats:
        start = study.settled(BASELINE, OUTPOST, *variants)
        return study.log_jitter(variant, measure, start)

    def nearer(variant: Variant) -> Effect:
        def effect(study: Study) -> Floats:
            middle = 0.5 * (log_jitter(study, OUTPOST) + log_jitter(study, BASELINE))
            # Between nothing and something there is no middle of logarithms, and no ratio to it.
            middle[np.isneginf(middle)] = np.nan
            return log_jitter(study, variant) - middle

        return effect

    name = f"outpost: jitter of {measure}, against baseline's"
    given = Check(
        name,
        LOG_RATIO,
        below(),
        lambda study: log_jitter(study, OUTPOST) - log_jitter(study, BASELINE),
        given=True,
    )
    middle = f"jitter of {measure}, against the middle of outpost's and baseline's"
    return [given, *(Check(f"{v.name}: {middle}", LOG_RATIO, below(), nearer(v)) for v in variants)]


def c3(params: Params) -> list[Check]:
    """Training top-1 against the threshold, in one sample."""
    learnt = params.claims.saturated_top1_pct
    early, late = early_and_late(params)
    rules = {
        **dict.fromkeys(late, above(learnt, inclusive=True)),
        **dict.fromkeys(early, below(learnt)),
    }

    def effect(block: str) -> Effect:
        return lambda study: study.final(Variant("expC", block), "train_top1_pct")

    return [
        Check(f"expC-{block}: final train_top1_pct", PERCENT, rule, effect(block))
        for block, rule in rules.items()
    ]


def c4(params: Params) -> list[Check]:
    """Each early block against each late one."""
    return [
        final(Variant("expC", early), Variant("expC", late), "val_top1_pct", above())
        for early, late in product(*early_and_late(params))
    ]


def c5(params: Params) -> list[Check]:
    """Rises of the outpost from its first decay on."""
    epoch = params.train.at_scale(first_decay(params, "outpost"))
    return [
        rise(OUTPOST, "val_loss", epoch, above()),
        rise(OUTPOST, "val_top1_pct", epoch, above()),
        rise(OUTPOST, "val_top5_pct", epoch, below()),
    ]


def c6(params: Params) -> list[Check]:
    """Rises from the freeze on."""
    epoch = params.train.at_scale(params.expC.freeze_epoch)
    loss, points = within(params.claims.margin_loss), within(params.claims.margin_points)
    early, late = early_and_late(params)
    checks = []
    for variant in (Variant("expC", block) for block in late):
        checks.append(rise(variant, "val_loss", epoch, above()))
        checks.append(rise(variant, "val_top5_pct", epoch, below()))
        checks.append(final(variant, OUTPOST, "val_loss", loss))
    for variant in (Variant("expC", block) for block in early):
        checks.append(rise(variant, "val_loss", epoch, loss))
        checks.append(rise(variant, "val_top5_pct", epoch, points))
    return checks


def c7(params: Params) -> list[Check]:
    """Net jumps at the freeze."""
    epoch = params.train.at_scale(params.expC.freeze_epoch)
    early, late = early_and_late(params)
    checks = []
    for measure, rule in (("val_loss", below()), ("val_top1_pct", above())):
        net = {
            block: net_jump(Variant("expC", block), Variant("expA", block), measure, epoch)
            for block in (*early, *late)
        }
        what, unit = f"jump of {measure} at {epoch}, net of expA's", unit_of(measure)
        checks += [Check(f"expC-{one}: {what}", unit, rule, net[one]) for one in early]
        checks += [
            Check(f"expC-{one}: {what}, less expC-{two}'s", unit, rule, less(net[one], net[two]))
            for one, two in product(early, late)
        ]
    return checks


def d1(params: Params) -> list[Check]:
    """Equivalence to the outpost."""
    margins = {"val_top1_pct": params.claims.margin_points, "val_loss": params.claims.margin_loss}
    return [
        final(variant, OUTPOST, measure, within(margin))
        for variant in each(params, "expD")
        for measure, margin in margins.items()
    ]
