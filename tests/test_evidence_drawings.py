"""Figures as files: what shows the same is not drawn again, what was touched is."""

from pathlib import Path
from typing import Any

import pytest
import vl_convert

from netstab.evidence.figures import vega
from netstab.evidence.figures.vega import reused, to_svg


def spec(value: float = 1.0) -> dict[str, Any]:
    values = [{"x": 0, "y": 0}, {"x": 1, "y": value}]
    encoding = {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y"}}
    return {"data": {"values": values}, "layer": [{"mark": "line", "encoding": encoding}]}


def test_a_figure_that_shows_the_same_is_taken_over_as_it_is() -> None:
    drawn = to_svg(spec())
    assert "<svg" in drawn
    assert reused(drawn, spec()) == drawn
    assert to_svg(spec()) == drawn


def test_a_figure_is_drawn_again_where_its_numbers_or_its_file_changed() -> None:
    drawn = to_svg(spec())
    assert reused(drawn, spec(2.0)) is None
    assert reused(drawn.replace("<svg", "<SVG"), spec()) is None
    assert reused(drawn[: len(drawn) // 2], spec()) is None
    assert reused("", spec()) is None


def test_the_pages_script_is_kept_and_put_together_anew_where_it_was_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    made: list[str] = []

    def put_together(snippet: str, version: str) -> str:
        made.append(version)
        return f"/* {version} */ {snippet} </script>"

    monkeypatch.setattr(vl_convert, "javascript_bundle", put_together)
    fresh = vega.bundle.__wrapped__
    first = fresh()
    assert fresh() == first and len(made) == 1
    (kept,) = (tmp_path / ".netstab" / "vega").iterdir()
    kept.write_text(kept.read_text().replace("vegaEmbed", "stranger"))
    assert fresh() == first and len(made) == 2
    assert "</script" not in first
