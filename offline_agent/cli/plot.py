"""Speed against quality, a point for each model: a picture, or a page that needs nothing but itself. Drawn by matplotlib, which is
an extra and is loaded here alone."""

import html
import io
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from offline_agent import app
from offline_agent.benchmarks import Benchmark
from offline_agent.cli.terminal import printable, readable
from offline_agent.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

KINDS = (".png", ".svg", ".html")
_TITLE = "Models on this machine: speed against quality"
_INCHES, _DPI = (9.0, 6.0), 150
_WIDE = 20.0
"""Speeds that differ by more than so many times are shown by their logarithm."""
_NOT_MEASURED = -8.0  # where models without a quality stand, below 0 %
_INK, _PALE = "#1f2328", "#8b949e"
_COLOURS = ("#0b66c3", "#b3261e", "#1a7f37", "#8250df", "#9a6700", "#0f766e", "#bf3989", "#57606a")
"""Of the dots and their names, in turn: where dots are near each other, the colour tells which name is whose."""
_DOT = 6.0  # half its width, in pixels at 100 dpi
_PLACES = ((8, 6), (8, -14), (-8, 6), (-8, -14), (0, 14), (0, -22), (8, 22), (8, -30), (-8, 22), (-8, -30))
"""Where a name may stand, in points from its dot: the first where it hides no other."""
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font-family: sans-serif; margin: 2em; }} svg {{ max-width: 100%; height: auto; }}</style></head>
<body>
{svg}
</body>
</html>
"""


class Point(NamedTuple):
    """A model: tokens a second that it writes, and the share that was right, None where no quality was measured. `kinds` says of
    what it is the share."""

    name: str
    speed: float
    quality: float | None
    kinds: str


def point_of(benchmark: Benchmark) -> Point:
    kinds = ", ".join(app.scores_of(benchmark))
    return Point(benchmark.model, benchmark.decode, app.quality_of(benchmark), kinds)


def check(path: Path) -> None:
    """Raises UsageError where that could not be drawn."""
    if path.suffix.lower() not in KINDS:
        raise UsageError(f"{readable(str(path))} cannot be drawn: its name must end in {', '.join(KINDS)}.")
    if not path.parent.is_dir():
        raise UsageError(f"There is no directory {readable(str(path.parent))} to draw in. Make it, or name another.")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError("Drawing needs matplotlib, which is an extra: pip install 'offline-agent[plot]'") from None


def draw(points: Sequence[Point], path: Path) -> None:
    """Draws them into a new file, or in place of an old one. Raises UsageError as `check` does, where there is nothing to draw, and
    where it cannot be written."""
    check(path)
    timed = [point for point in points if point.speed > 0]
    if not timed:
        raise UsageError(
            "There is nothing to draw: no speed was measured. Try: offline-agent models bench --only speed"
        )
    figure = _figure(timed)
    kind = path.suffix.lower()
    content = _saved(figure, "png") if kind == ".png" else _svg(figure)
    if kind == ".html":
        content = _PAGE.format(title=html.escape(_TITLE), svg=content.decode()).encode()
    _write(content, path)


def _figure(points: Sequence[Point]) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(_TITLE, color=_INK)
    _scale(axes, points)
    for point, colour in zip(points, cycle(_COLOURS), strict=False):
        measured = point.quality is not None
        axes.plot(point.speed, _height(point), "o", color=colour, markerfacecolor=colour if measured else "white")
    _name(figure, axes, points)
    return figure


def _height(point: Point) -> float:
    return _NOT_MEASURED if point.quality is None else 100 * point.quality


def _scale(axes: "Axes", points: Sequence[Point]) -> None:
    speeds = [point.speed for point in points]
    if max(speeds) / min(speeds) > _WIDE:
        axes.set_xscale("log")
        axes.set_xlim(min(*speeds, app.READABLE) / 1.6, max(speeds) * 2.5)
    else:
        axes.set_xlim(0, max(*speeds, app.READABLE) * 1.25)
    unknown = any(point.quality is None for point in points)
    axes.set_ylim(2 * _NOT_MEASURED if unknown else -5, 105)
    ticks = [*range(0, 101, 20)]
    axes.set_yticks([_NOT_MEASURED, *ticks] if unknown else ticks)
    axes.set_yticklabels([*(["not measured"] if unknown else []), *(f"{tick} %" for tick in ticks)])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("writes, tokens a second")
    axes.set_ylabel("right answers, mean of what is named at each point")
    axes.axvline(app.READABLE, color=_PALE, linestyle="--", linewidth=1)
    axes.annotate(
        "as fast as people read",
        (app.READABLE, 104),
        xytext=(4, -4),
        textcoords="offset points",
        va="top",
        color=_PALE,
        fontsize=8,
    )
    axes.grid(visible=True, color="#eaeef2")
    axes.set_axisbelow(True)


def _name(figure: "Figure", axes: "Axes", points: Sequence[Point]) -> None:
    """Writes names beside the dots, each where it hides nothing that stands there already."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # now it is known where everything is
    renderer = canvas.get_renderer()
    dots = [_dot(axes, point) for point in points]
    taken: list[Bbox] = []
    coloured = zip(points, dots, cycle(_COLOURS), strict=False)
    for point, dot, colour in sorted(coloured, key=lambda each: -_height(each[0])):
        kinds = f" ({point.kinds})" if point.kinds else ""
        label = printable(f"{point.name}{kinds}").replace("\n", " ")
        for place in _PLACES:
            text = axes.annotate(
                label,
                (point.speed, _height(point)),
                xytext=place,
                textcoords="offset points",
                ha={1: "left", 0: "center", -1: "right"}[(place[0] > 0) - (place[0] < 0)],
                fontsize=8,
                color=colour,
                parse_math=False,  # a name with dollar signs is no formula
            )
            box = text.get_window_extent(renderer)
            others = [*taken, *(other for other in dots if other is not dot)]
            free = figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and not any(map(box.overlaps, others))
            if free or place == _PLACES[-1]:
                taken.append(box)
                break
            text.remove()


def _dot(axes: "Axes", point: Point) -> "Bbox":
    """Where its dot is, in pixels."""
    from matplotlib.transforms import Bbox

    x, y = axes.transData.transform((point.speed, _height(point)))
    return Bbox.from_extents(x - _DOT, y - _DOT, x + _DOT, y + _DOT)


def _saved(figure: "Figure", kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=_DPI, **options)
    return buffer.getvalue()


def _svg(figure: "Figure") -> bytes:
    """An svg element: text stays text, and nothing says when or by whom it was drawn."""
    from matplotlib import rc_context

    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "offline-agent"}):
        drawn = _saved(figure, "svg", metadata=nothing)
    return drawn[drawn.index(b"<svg") :]


def _write(content: bytes, path: Path) -> None:
    """Whole or not at all."""
    made = ""
    try:
        descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
        with open(descriptor, "wb") as file:
            file.write(content)
        os.chmod(made, 0o644)
        os.replace(made, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(made)
        raise UsageError(f"{readable(str(path))} cannot be written ({error.strerror}). Name another file.") from None
