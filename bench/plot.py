"""Grouped bars as SVG: what a core answers in a second. No library, no colours that paper loses."""

from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 860, 360, 60, 50, 60
_COLOURS = ("#1f6f54", "#b9c4bd", "#d9a441", "#3b4a6b", "#8a5a83")


def bars(title: str, groups: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> str:
    """The text of an SVG. series: name -> one value for each group, None where there is none."""
    most = max(value for values in series.values() for value in values if value)
    step = _step(most)
    top = (int(most / step) + 1) * step
    scale = (_HEIGHT - _TOP - _BOTTOM) / top
    floor = _HEIGHT - _BOTTOM
    parts = [_text(_LEFT, 20, title, size=15)]
    for line in range(int(top / step) + 1):
        y = floor - line * step * scale
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        )
        parts.append(_text(_LEFT - 6, y + 4, f"{line * step:,.0f}", anchor="end"))
    room = (_WIDTH - 10 - _LEFT) / len(groups)
    width = room * 0.86 / len(series)
    for place, group in enumerate(groups):
        begins = _LEFT + place * room
        parts.append(_text(begins + room / 2, floor + 18, group, anchor="middle", size=13))
        for number, values in enumerate(series.values()):
            if (value := values[place]) is None:
                continue
            x, height = begins + room * 0.07 + number * width, value * scale
            parts.append(
                f'<rect x="{x:.1f}" y="{floor - height:.1f}" width="{width - 2:.1f}" '
                f'height="{height:.1f}" fill="{_COLOURS[number % len(_COLOURS)]}"/>'
            )
            parts.append(_text(x + width / 2, floor - height - 4, f"{value:,.0f}", "middle", 10))
    parts += _legend(list(series))
    drawn = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" role="img">\n<rect width="100%" height="100%" fill="white"/>\n'
        f"{drawn}\n</svg>\n"
    )


def _legend(names: Sequence[str]) -> list[str]:
    room, y = (_WIDTH - _LEFT) / len(names), _HEIGHT - 16
    parts = []
    for number, name in enumerate(names):
        x, colour = _LEFT + number * room, _COLOURS[number % len(_COLOURS)]
        parts.append(f'<rect x="{x:.1f}" y="{y - 10}" width="11" height="11" fill="{colour}"/>')
        parts.append(_text(x + 16, y, name, size=12))
    return parts


def _step(most: float) -> float:
    """A round number, of which four to nine fit."""
    step = 1.0
    while most / step > 50:
        step *= 10
    return next(step * times for times in (1, 2, 5, 10) if most / (step * times) <= 9)


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 11) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="#222">'
        f"{escape(text)}</text>"
    )
