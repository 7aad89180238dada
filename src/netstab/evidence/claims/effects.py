"""What claims compare: each effect as one number a seed, from the runs' files.

Windows are stated in `params.yaml` at time scale 1 and are at least one epoch long:

* final X: mean over the last `report.final_epochs`;
* rise of X from epoch e: final X less the mean over the `report.settle_epochs` from e on. Both
  windows are fixed, so that noise alone gives zero on average (as "less the best" would not);
* jump of X at epoch e: mean over the `report.jump_epochs` from e on, less that over as many before;
* none of these windows may hold another change of the run: the effect would be of two. A rate that
  follows a shape is one change, where the shape begins; its cycles, and its end, are others;
* jitter of X: standard deviation (one degree of freedom less) of the differences between
  neighbouring epochs, over the square root of 2, from `report.settle_epochs` after the last
  intervention of all compared runs to the end: the same window for each. Where a rate follows a
  shape up to the end, the window is that of final X.

Ratios (of jitters, eigenvalues, drifts) are compared as logarithms.
"""

from functools import cache

import numpy as np

from netstab.evidence.claims.judgement import Verdict
from netstab.evidence.summary.drift import Direction, log_drift, shifts
from netstab.evidence.summary.field import log_shift
from netstab.evidence.summary.relative import PROTOCOL, largest_error
from netstab.evidence.summary.windows import Floats, final, final_window, jitter, settled
from netstab.params import Params
from netstab.results.runs import Collection
from netstab.results.schema import MEASURES
from netstab.study.experiments import Run, Variant
from netstab.study.measuring import NETWORK

FEWEST_DIFFERENCES = 2
"""The fewest that have a standard deviation."""


class Lacking(Exception):
    """An effect that cannot be computed: the reason, and the verdict that follows."""

    def __init__(self, verdict: Verdict, why: str) -> None:
        super().__init__(verdict, why)
        self.verdict = verdict
        self.why = why

    def __str__(self) -> str:
        return self.why


class Study:
    """Effects over the runs of all seeds, each computed once.

    Attributes:
        params: the parameters.
        collection: what the runs left behind.
    """

    def __init__(self, params: Params, collection: Collection) -> None:
        self.params = params
        self.collection = collection
        # What many claims look at.
        self._curves = cache(self._stacked)
        self._jitters = cache(self._log_jitter)
        self._shifts = cache(lambda run: shifts(collection.stability[run], params))

    def runs(self, variant: Variant) -> list[Run]:
        """A variant's runs, in the order of the seeds."""
        return [Run(variant, seed) for seed in self.params.seeds]

    def curves(self, variant: Variant, measure: str) -> Floats:
        """A measure over epochs, [seeds, E]."""
        return self._curves(variant)[:, :, MEASURES.index(measure)]

    def _stacked(self, variant: Variant) -> Floats:
        histories = self.collection.histories
        return np.stack([histories[run].to_numpy() for run in self.runs(variant)])

    def _undisturbed(self, variant: Variant, start: int, end: int, but: int = -1) -> None:
        """Refuse a window [start, end) within which the variant changes, at another epoch than one.

        A change at `start` itself is in force throughout the window.

        Raises:
            Lacking: it does.
        """
        changes = self.collection.schedules[variant].interventions
        within = [epoch for epoch in changes if start < epoch < end and epoch != but]
        if within:
            why = f"{variant.name} changes at epoch {within[0]}, within epochs {start} to {end - 1}"
            raise Lacking(Verdict.TOO_FEW_EPOCHS, why)

    def final(self, variant: Variant, measure: str) -> Floats:
        """Final X, [seeds].

        Raises:
            Lacking: the variant changes within the last epochs.
        """
        epochs = self.params.train.run_epochs
        self._undisturbed(variant, epochs - final_window(self.params), epochs)
        return final(self.params, self.curves(variant, measure))

    def rise(self, variant: Variant, measure: str, epoch: int) -> Floats:
        """Final X less the mean over a window from an epoch (at scale) on, [seeds].

        Raises:
            Lacking: the windows would overlap, or the variant changes within one.
        """
        window = self.params.train.window(self.params.report.settle_epochs)
        last = final_window(self.params)
        if epoch + window > self.params.train.run_epochs - last:
            raise Lacking(
                Verdict.TOO_FEW_EPOCHS,
                f"less than {window + last} epochs from epoch {epoch} to the end",
            )
        self._undisturbed(variant, epoch, epoch + window)
        before = self.curves(variant, measure)[:, epoch : epoch + window].mean(axis=1)
        return np.asarray(self.final(variant, measure) - before)

    def jump(self, variant: Variant, measure: str, epoch: int) -> Floats:
        """Mean over a window from an epoch (at scale) on less that before it, [seeds].

        Raises:
            Lacking: a window reaches past the first or the last epoch, or over another change.
        """
        window = self.params.train.window(self.params.report.jump_epochs)
        curves = self.curves(variant, measure)
        if epoch < window or epoch + window > curves.shape[1]:
            raise Lacking(
                Verdict.TOO_FEW_EPOCHS, f"less than {window} epochs before or after epoch {epoch}"
            )
        self._undisturbed(variant, epoch - window, epoch + window, but=epoch)
        after = curves[:, epoch : epoch + window].mean(axis=1)
        return np.asarray(after - curves[:, epoch - window : epoch].mean(axis=1))

    def settled(self, *variants: Variant) -> int:
        """Epoch from which on none of these runs is upset by an intervention any more."""
        return settled(self.params, *(self.collection.schedules[v] for v in variants))

    def log_jitter(self, variant: Variant, measure: str, start: int) -> Floats:
        """Logarithm of the jitter from an epoch to the end, [seeds]; no jitter is -infinity.

        Raises:
            Lacking: there are too few epochs.
        """
        epochs = self.params.train.run_epochs - start
        fewest = max(self.params.claims.fewest_jitter_epochs, FEWEST_DIFFERENCES + 1)
        if epochs < fewest:
            raise Lacking(
                Verdict.TOO_FEW_EPOCHS,
                f"{max(0, epochs)} epochs for a jitter from epoch {start} on; {fewest} are needed",
            )
        return self._jitters(variant, measure, start)

    def _log_jitter(self, variant: Variant, measure: str, start: int) -> Floats:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(jitter(self.curves(variant, measure)[:, start:])))

    def log_drift(
        self,
        variant: Variant,
        direction: Direction,
        where: tuple[str, ...],
        epochs: int | tuple[int, ...],
        *,
        per_path: bool = False,
    ) -> Floats:
        """Mean log drift over an epoch, from an epoch on or in some, [seeds]; see `drift`.

        Raises:
            Lacking: it was not measured.
        """
        found = []
        for run in self.runs(variant):
            try:
                shifted = self._shifts(run)
                found.append(log_drift(shifted, direction, where, epochs, per_path=per_path))
            except LookupError:
                when = f"from epoch {epochs} on"
                if not isinstance(epochs, int):
                    when = f"in epochs {', '.join(map(str, epochs))}"
                why = f"{run.name}: {direction} drift {when} was not measured"
                raise Lacking(Verdict.NOT_MEASURED, why) from None
        return np.array(found)

    def log_field_shift(
        self, variant: Variant, block: str, start: int, *, per_path: bool = False
    ) -> Floats:
        """Log shift of a block's expected gradient over a step, [seeds]; see `field.log_shift`.

        Raises:
            Lacking: it was not measured, or cannot be told from nothing.
        """
        found = []
        for run in self.runs(variant):
            try:
                field = self.collection.field[run]
                found.append(log_shift(field, block, start, per_path=per_path))
            except LookupError as error:
                why = "was not measured" if isinstance(error, KeyError) else str(error)
                whose = f"{run.name}: shift of gradients of block {block} from epoch {start} on"
                raise Lacking(Verdict.NOT_MEASURED, f"{whose} {why}") from None
        return np.array(found)

    def same_protocol(self, *variants: Variant) -> None:
        """Hold the protocols by which sharpness was measured against each other.

        Raises:
            Lacking: they differ.
        """
        files = (self.collection.sharpness.get(run) for v in variants for run in self.runs(v))
        protocols = [file.protocol for file in files if file]
        for name in PROTOCOL:
            if any(other.get(name) != protocols[0].get(name) for other in protocols):
                why = f"sharpness was measured with different {name}"
                raise Lacking(Verdict.NOT_COMPARABLE, why)

    def log_sharpness(self, variant: Variant, block: str = NETWORK) -> Floats:
        """Logarithm of the Hessian's largest eigenvalue at the end of the run, [seeds].

        Raises:
            Lacking: it was not measured, did not converge, or is not positive.
        """
        found = []
        for run in self.runs(variant):
            file = self.collection.sharpness.get(run)
            measured = file and file.at(self.params.train.run_epochs, block)
            whose = f"{run.name}: eigenvalue of {block}"
            if not measured:
                raise Lacking(Verdict.NOT_MEASURED, whose)
            if measured.eigenvalue is None:
                raise Lacking(Verdict.NOT_MEASURED, f"{whose} did not converge, or is zero")
            if measured.eigenvalue <= 0:
                raise Lacking(Verdict.NOT_MEASURED, f"{whose} is not positive")
            found.append(measured.eigenvalue)
        return np.log(found)

    def sharpness_error(self, *variants: Variant, block: str) -> float | None:
        """How far these eigenvalues may be off, as a share; None where that is not known."""
        found = self.collection.sharpness
        files = [found[run] for v in variants for run in self.runs(v) if run in found]
        return largest_error(files, self.params.train.run_epochs, block)
