"""Stage `data`: the images that `params.yaml` names, as checked tensors with a manifest."""

import time

import typer

from netstab import params, paths
from netstab.data.manifest import Manifest
from netstab.data.prepare import prepare
from netstab.errors import visible
from netstab.exits import exit_codes
from netstab.locks import results_lock

app = typer.Typer(add_completion=False)


@app.command()
def main() -> None:
    """Prepare the images that params.yaml names: data/prepared and data/manifest.json."""
    said: list[str] = []
    started = time.perf_counter()
    with exit_codes():
        content = params.read(paths.PARAMS)
        with results_lock("data"):
            manifest = prepare(content, say=said.append)
    print(_summary(manifest, said, time.perf_counter() - started))


def _summary(manifest: Manifest, said: list[str], seconds: float) -> str:
    height, width, channels = manifest.image_shape
    mean, std = (" ".join(f"{value:.4f}" for value in row) for row in (manifest.mean, manifest.std))
    lines = [
        f"{manifest.name}: {manifest.train.count:,} training, {manifest.test.count:,} test images",
        f"{len(manifest.classes)} classes, {height} x {width} pixels, {channels} channels",
        f"mean {mean}, standard deviation {std}",
    ]
    if manifest.origin.sha256:
        lines.append(f"{manifest.origin.name}: SHA-256 {manifest.origin.sha256}")
    return visible("\n".join([*lines, *manifest.notes, *said, f"{seconds:.1f} s"]))


if __name__ == "__main__":
    app()
