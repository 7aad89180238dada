"""How time and memory grow with width, images, seeds and variants, and by what law."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table

from benchmarks import growth_pipeline, growth_plan, growth_training, sizes
from benchmarks.common import Spread, in_turn, machine, make_table, report, three_digits
from benchmarks.laws import power_law

USUAL_SEEDS = (3, 30, 300)
USUAL_WIDTHS = (16, 32, 64, 128)
MEASURED, COMPUTED, COUNTED = "measured", "computed from some steps", "counted from the plan"


@dataclass(frozen=True, slots=True)
class Growth:
    """Figures by one thing that grows.

    Attributes:
        against: what grows.
        how: whether the figures are measured, computed or counted.
        figures: name -> x -> values.
    """

    against: str
    how: str
    figures: Mapping[str, Mapping[int, Spread]]

    def table(self) -> Table:
        """A row a figure, a column an x, and the law's exponent."""
        xs = sorted({x for values in self.figures.values() for x in values})
        title = f"against {self.against}; {self.how}"
        table = make_table(title, "what", *(f"{x:,}" for x in xs), "exponent")
        for name, values in self.figures.items():
            cells = (three_digits(values[x].median) if x in values else "" for x in xs)
            table.add_row(name, *cells, str(power_law(values) or ""))
        return table

    def as_json(self) -> dict[str, Any]:
        """Values and laws as data."""
        found: dict[str, Any] = {"how": self.how}
        for name, values in self.figures.items():
            law = power_law(values)
            found[name] = {
                "at": {str(x): spread.as_json() for x, spread in values.items()},
                "law": law.as_json() if law else None,
            }
        return found


def main(
    size: Annotated[str, typer.Option(help="demo, mini or article: for epochs.")] = "mini",
    widths: Annotated[str, typer.Option(help="Of the network; empty for none.")] = "16,32,64,128",
    images: Annotated[
        str, typer.Option(help="Numbers of training images; empty for none.")
    ] = "1000,2000,4000,8000",
    seeds: Annotated[str, typer.Option(help="Numbers of seeds; empty for none.")] = "3,30",
    rounds: Annotated[int, typer.Option(min=1, help="Each case is measured once a round.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Timed steps at each width.")] = 4,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 for one a core.")] = 0,
    clones: Annotated[
        Path | None, typer.Option(help="Folder in which clones stay, to be used again.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Where the JSON goes.")] = None,
) -> None:
    """Measure growth, and fit power laws by least squares on logarithms.

    An epoch's time and a trainer's memory against width and against the number of images, each
    case in a process of its own; epochs against seeds and variants, from the plan; `netstab
    plan`, `dvc status` and the report against seeds, in clones of this checkout in which every
    run of the demo's plan is stored. 300 seeds take the better part of an hour to prepare.
    """
    on, found = machine(), list[Growth]()
    on["threads"] = threads or on["threads"]
    counts = sizes.RANDOM_COUNTS.get(size, sizes.RANDOM_COUNTS["mini"])
    with tempfile.TemporaryDirectory() as folder:
        trainer = growth_training.Trainer(size, device, threads, Path(folder))
        if given := _numbers(widths):
            figures = growth_training.against_widths(trainer, given, counts[0], steps, rounds)
            found.append(Growth("width", COMPUTED, figures))
        if given := _numbers(images):
            width = sizes.params(size).model.width
            figures = growth_training.against_images(trainer, given, width, rounds)
            found.append(Growth("training images", MEASURED, figures))
        for against, figures in (
            ("seeds", growth_plan.against_seeds(size, list(USUAL_SEEDS))),
            ("variants", growth_plan.against_variants(size)),
        ):
            found.append(Growth(against, COUNTED, figures))
        place = (clones or Path(folder)).resolve()
        made = [growth_pipeline.clone(count, place) for count in _numbers(seeds)]
        if made:
            found.append(Growth("seeds", MEASURED, _pipeline(made, rounds)))
    settings: dict[str, Any] = {"size": size, "rounds": rounds, "steps": steps}
    settings |= {"widths": _numbers(widths), "images": _numbers(images), "seeds": _numbers(seeds)}
    settings |= {"threads": threads, "clones": {c.seeds: c.as_json() for c in made}}
    _report(found, settings, on, json)


def _numbers(given: str) -> list[int]:
    return sorted({int(word) for word in given.split(",") if word.strip()})


def _pipeline(clones: list[growth_pipeline.Clone], rounds: int) -> dict[str, dict[int, Spread]]:
    """Seconds of each command by the number of seeds, and what DVC's bookkeeping took once."""
    cases = {
        f"{name}, {clone.seeds} seeds": case
        for clone in clones
        for name, case in clone.cases().items()
    }
    measured = in_turn(cases, rounds)
    figures = {
        f"{name}, s": {c.seeds: measured[f"{name}, {c.seeds} seeds"] for c in clones}
        for name in growth_pipeline.COMMANDS
    }
    for key in ("load_s", "save_s", "write_one_s"):
        values = {c.seeds: Spread((c.dvc[key],)) for c in clones}
        figures[f"{growth_pipeline.BOOKKEEPING[key]}, s (n = 1)"] = values
    return figures


def _report(
    found: list[Growth], settings: dict[str, Any], on: dict[str, Any], json: Path | None
) -> None:
    notes = [
        f"n = {settings['rounds']}; medians; exponents with their standard errors, every value "
        "a point: 1 is in proportion.",
        "epoch_s: training steps alone. working_mib: peak resident memory beyond that after "
        "imports; peak_mib: of the whole process.",
    ]
    if left := [f"{n}" for n in USUAL_SEEDS if n not in settings["clones"]]:
        notes.append(f"Not tried: the pipeline with {', '.join(left)} seeds (--seeds).")
    if left := [f"{n}" for n in USUAL_WIDTHS if n not in settings["widths"]]:
        notes.append(f"Not tried: a network of width {', '.join(left)} (--widths).")
    report(
        "growth",
        json,
        Group(*(growth.table() for growth in found)),
        on=on,
        settings=settings,
        results={f"{g.against}, {g.how}": g.as_json() for g in found},
        notes=notes,
    )


if __name__ == "__main__":
    typer.run(main)
