"""Vega itself: the script that a page carries, and SVG without a browser."""

import hashlib
import json
import re
from contextlib import suppress
from functools import cache
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from netstab import paths
from netstab.evidence.figures.theme import CONFIG, WIDTH
from netstab.files import write_file

# Of about the same width wherever a file is looked at, which the system's own is not.
FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"


@cache
def version() -> str:
    """The version of Vega-Lite that Altair writes for; if it is not installed, the newest."""
    wanted = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    known: list[str] = vl_convert.get_vegalite_versions()
    return wanted if wanted in known else known[-1]


@cache
def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script.

    The same for a version, and bundling takes seconds, so it is cached beside the store.
    """
    kept = paths.kept_script(f"vl-convert-{installed('vl-convert-python')}-{version()}.js")
    script = _checked(kept)
    if script is None:
        script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version())
        with suppress(OSError):  # without a cache it is bundled anew next time
            write_file(kept, f"{_digest(script)}\n{script}", shared=True)
    # A block of its own keeps the bundle's many short names out of the page's.
    return "{" + script.replace("</script", r"<\/script") + "}"


def _checked(path: Path) -> str | None:
    """A cached script; None where it is missing or damaged."""
    try:
        digest, _, script = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    return script if digest == _digest(script) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def to_svg(spec: dict[str, Any]) -> str:
    """A filled spec as the text of an SVG file, on white, without what reacts to a pointer."""
    still = _without_hover({**spec, "config": {**CONFIG, "font": FONT}, "padding": 8})
    if still.get("width") == "container":
        still["width"] = WIDTH
    drawn = vl_convert.vegalite_to_svg(json.dumps(still), vl_version=version())
    # Paths and places to a tenth of a pixel.
    drawn = re.sub(
        r' (?:d|transform)="[^"]*"', lambda found: re.sub(r"(\.\d)\d+", r"\1", found[0]), drawn
    )
    return f"{drawn}\n{_seal(spec, drawn)}\n"


def reused(text: str, spec: dict[str, Any]) -> str | None:
    """An SVG file's text if it is what `to_svg` made of the same spec; otherwise None."""
    drawn, _, seal = text.rstrip("\n").rpartition("\n")
    return text if seal == _seal(spec, drawn) else None


def _seal(spec: dict[str, Any], drawn: str) -> str:
    """A comment with digests of what a drawing was made from, and of the drawing."""
    source = json.dumps(
        [spec, CONFIG, FONT, installed("vl-convert-python"), version()], sort_keys=True
    )
    digests = [_digest(text)[:16] for text in (source, drawn)]
    return f"<!-- {' '.join(digests)} -->"


def _without_hover(spec: dict[str, Any]) -> dict[str, Any]:
    """Without the layers whose names begin with `hover`."""
    if "spec" in spec:
        return {**spec, "spec": _without_hover(spec["spec"])}
    kept = [layer for layer in spec["layer"] if not layer.get("name", "").startswith("hover")]
    views = {layer.get("name") for layer in kept} | {None}
    params = [p for p in spec.get("params", []) if set(p.get("views", [None])) & views]
    return {**spec, "layer": kept, "params": params}
