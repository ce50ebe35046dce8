"""Pictures are drawn by a process whose death costs one picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import pytest

from clv_pipeline.errors import PictureError
from clv_pipeline.publication.charts import pictures, ranking
from clv_pipeline.publication.charts.renderer import Renderer

SVG = b"<svg"
VEGA_LITE = alt.SCHEMA_VERSION.rsplit(".", 1)[0]

NewRenderer = Callable[..., Renderer]


@pytest.fixture
def new_renderer() -> Iterator[NewRenderer]:
    made: list[Renderer] = []

    def make(*args: Any, **named: Any) -> Renderer:
        made.append(Renderer(*args, **named))
        return made[-1]

    yield make
    for renderer in made:
        renderer.close()


def worker(folder: Path, *lines: str) -> Path:
    """A program that ends as its last line says, once it is asked for a picture."""
    path = folder / "worker.py"
    path.write_text("\n".join(["import os, signal, sys, time", "sys.stdin.buffer.read(4)", *lines]))
    return path


def bars(*names: str) -> dict[str, Any]:
    chart = ranking(pl.DataFrame({"name": names, "amount": [1.0] * len(names)}), title="Names", unit="Each once")
    spec: dict[str, Any] = chart.to_dict()
    return spec


def test_text_that_aborts_the_renderer_costs_its_picture_and_no_other(new_renderer: NewRenderer) -> None:
    renderer = new_renderer()
    with pytest.raises(PictureError, match="was ended by SIGABRT") as caught:
        renderer.draw(bars("P\x0b1"), vl_version=VEGA_LITE)
    assert "panicked" in caught.value.quoted
    assert renderer.draw(bars("P1"), vl_version=VEGA_LITE).startswith(SVG)


@pytest.mark.parametrize("fonts", ["/usr/share/fonts", "/dev/null"])
def test_a_picture_does_not_depend_on_the_fonts_of_the_machine(
    new_renderer: NewRenderer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fonts: str
) -> None:
    names = bars("日本語の商品名", "plain name")
    before = new_renderer().draw(names, vl_version=VEGA_LITE)
    (tmp_path / "fonts.conf").write_text(f"<fontconfig><dir>{fonts}</dir></fontconfig>")
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "fonts.conf"))
    assert new_renderer().draw(names, vl_version=VEGA_LITE) == before


def test_one_process_draws_all_pictures(new_renderer: NewRenderer) -> None:
    renderer = new_renderer()
    first, second = (renderer.draw(bars("a", "b"), vl_version=VEGA_LITE) for _ in range(2))
    assert first == second
    assert renderer._process is not None
    process = renderer._process
    renderer.draw(bars("c"), vl_version=VEGA_LITE)
    assert renderer._process is process
    renderer.close()
    assert process.poll() is not None


def test_what_the_renderer_refuses_is_told_and_it_goes_on(new_renderer: NewRenderer) -> None:
    renderer = new_renderer()
    with pytest.raises(PictureError, match="refused"):
        renderer.draw({"mark": {"no": "chart"}}, vl_version="0.0")
    assert renderer.draw(bars("a"), vl_version=VEGA_LITE).startswith(SVG)


@pytest.mark.parametrize(
    ("last_lines", "told"),
    [
        (["os.kill(os.getpid(), signal.SIGKILL)"], "was ended by SIGKILL"),
        (["sys.exit('no fonts')"], r"ended with status 1 \(no fonts\)"),
        (["time.sleep(600)"], "was ended after 1 s"),
        (["sys.stdout.buffer.write(b'\\x01')"], "ended with status 0"),
        (["sys.stdout.buffer.write(b'\\x01\\x00\\x00\\x00\\xffhalf a picture')"], "ended with status 0"),
    ],
)
def test_however_the_process_ends_the_reason_is_told(
    new_renderer: NewRenderer, tmp_path: Path, last_lines: list[str], told: str
) -> None:
    renderer = new_renderer(worker(tmp_path, *last_lines), seconds=1 if "sleep" in last_lines[0] else 60)
    # Larger than what a pipe holds, so that nobody waits for a process that reads no further.
    spec = {"name": "x" * 1_000_000}
    for _ in range(2):
        with pytest.raises(PictureError, match=told):
            renderer.draw(spec, vl_version="5")


def test_the_chart_that_is_missing_is_named(
    new_renderer: NewRenderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "RENDERER", new_renderer(worker(tmp_path, "os.abort()")))
    chart = pictures.specified(
        ranking(pl.DataFrame({"name": ["a"], "amount": [1.0]}), title="Best products", unit="Revenue")
    )
    for draw in (pictures.to_picture, lambda chart: pictures.to_svg(chart, narrow=True)):
        with pytest.raises(PictureError, match=r"the chart 'Best products' is not drawn: .* SIGABRT"):
            draw(chart)
