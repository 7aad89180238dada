"""What came out, in plain words: the sentences at the top of the page."""

from math import exp, log

from netstab.evidence.claims.judgement import Judgement, Verdict
from netstab.evidence.claims.statistics import FEWEST_SEEDS, Sample
from netstab.evidence.page.claims_table import MINUS
from netstab.evidence.results import Results
from netstab.evidence.summary.windows import final
from netstab.evidence.texts import counted, significant
from netstab.params import Params, Shape
from netstab.params.changes import by_epoch
from netstab.study.courses import stated
from netstab.study.experiments import BASELINE, OUTPOST, Variant

DECIDED = (Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.INCONCLUSIVE)


def sentences(results: Results) -> list[str]:
    """One on the outpost against the baseline, where both have runs, and one on the verdicts."""
    return [*_headline(results), _verdicts(results)]


def sample(results: Results) -> str:
    """What all of it rests on: seeds, runs, data, hardware."""
    collection = results.collection
    devices = dict.fromkeys(s.device for s in collection.segments)
    hardware = f", on {', '.join(devices)}" if devices else ""
    return (
        f"{counted(len(results.params.seeds), 'seed')}, paired; "
        f"{len(collection.histories)} of {counted(len(collection.expected), 'run')}; "
        f"{results.data.name}{hardware}."
    )


def _headline(results: Results) -> list[str]:
    runs = {variant: results.collection.of(variant) for variant in (OUTPOST, BASELINE)}
    seeds = [seed for seed in runs[BASELINE] if seed in runs[OUTPOST]]
    if not seeds:
        return []
    mine, theirs = (
        [float(final(results.params, runs[v][s]["val_top1_pct"].to_numpy())) for s in seeds]
        for v in (OUTPOST, BASELINE)
    )
    gains = [a - b for a, b in zip(mine, theirs, strict=True)]
    gain = sum(gains) / len(gains)
    interval = ""
    if len(gains) >= FEWEST_SEEDS:
        confidence = results.params.claims.confidence
        low, high = Sample.of(gains).interval(confidence)
        interval = f" ({confidence:.0%} interval {low:+.2f} to {high:+.2f})".replace("-", MINUS)
    points = f"{abs(gain):.2f} points {'higher' if gain > 0 else 'lower'}"
    change = points if round(gain, 2) else "no difference"
    return [
        f"With {manner(results.params, OUTPOST)} (the outpost) validation top-1 ends at "
        f"{sum(mine) / len(mine):.2f} %, with {manner(results.params, BASELINE)} (the baseline) at "
        f"{sum(theirs) / len(theirs):.2f} %: {change}{interval}"
        f"{_calmer(results)}."
    ]


def manner(params: Params, reference: Variant) -> str:
    """What a reference's rate does, in a few words."""
    changes = stated(params, reference.experiment)
    if not changes:
        return "step decay everywhere" if reference == OUTPOST else "a constant rate"
    ordered = by_epoch(next(iter(changes.values())))
    shapes = [change.shape for _, change, _ in ordered if isinstance(change, Shape)]
    kind = " and ".join(dict.fromkeys(shapes)).replace("_", " ") or "stepped"
    return f"a{'n' if kind.startswith('e') else ''} {kind} rate"


def _calmer(results: Results) -> str:
    """How the outpost's jitter compares with the baseline's."""
    summaries = [results.summaries[variant.name] for variant in (OUTPOST, BASELINE)]
    mine, theirs = (summary["jitter_val_top1_pct"] for summary in summaries)
    epochs = [summary["jitter_window_epochs"] or 0 for summary in summaries]
    # In a sentence for everybody, no jitter of a few epochs, of which no claim would be judged.
    if not mine or not theirs or min(epochs) < results.params.claims.fewest_jitter_epochs:
        return ""
    factor = exp(abs(log(theirs / mine)))
    change = "calmer" if mine < theirs else "more unsteady"
    return (
        f"; from epoch to epoch it jitters by {mine:.2f} points instead of {theirs:.2f}, "
        f"{significant(factor, 2)} times {change}"
    )


def _verdicts(results: Results) -> str:
    judgements = results.judgements
    seeds = len(results.params.seeds)
    if seeds < FEWEST_SEEDS:
        return (
            f"With {counted(seeds, 'seed')} no verdict on any statement is possible: it takes at "
            f"least {FEWEST_SEEDS}. The numbers below are point estimates."
        )
    if not judgements:
        return "No statement has been judged yet."
    counts = [
        f"{number} {'is' if number == 1 else 'are'} {verdict}"
        for verdict in DECIDED
        if (number := _count(judgements, verdict))
    ]
    rest = len(judgements) - sum(_count(judgements, verdict) for verdict in DECIDED)
    if rest:
        counts.append(f"{rest} could not be tested")
    adjusted = _adjusted(judgements, 1 - results.params.claims.confidence)
    return f"Of {counted(len(judgements), 'statement')}, {_listed(counts)}.{adjusted}"


def _adjusted(judgements: tuple[Judgement, ...], level: float) -> str:
    """How many of the supported stay so when all are tested at once: of many, some are luck."""
    tested = [(j.verdict, j.p_holm) for j in judgements if j.p_holm is not None]
    supported = [p for verdict, p in tested if verdict is Verdict.SUPPORTED]
    if not supported:
        return ""
    staying = sum(p <= level for p in supported)
    if len(supported) == 1:
        kept_so = f"the one supported {'stays' if staying else 'does not stay'} so"
    else:
        kept = "none" if not staying else "all" if staying == len(supported) else str(staying)
        verb = "stays" if staying == 1 else "stay"
        kept_so = f"{kept} of the {len(supported)} supported {verb} so"
    return f" Adjusted for testing {len(tested)} at once (Holm), {kept_so}."


def _count(judgements: tuple[Judgement, ...], verdict: Verdict) -> int:
    return sum(judgement.verdict is verdict for judgement in judgements)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
