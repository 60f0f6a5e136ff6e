"""
StateDiagram: draws a table of transitions as an SVG for light and dark backgrounds.

The table decides which arrows there are, and the layout where they are. A layout that lacks a
transition, has one too many, or draws an arrow to the wrong box is an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from attrs import frozen

Point = tuple[float, float]

Row = tuple[Enum, Enum]
"""
A state, and the cause that ends it.
"""

_BOX_HEIGHT = 56
_LINE_HEIGHT = 16
_TEXT_DROP = 5
"""
Pixels from the middle of a line of text to its baseline.
"""

_STYLE = """
    :root { color: #1f2328; --line: #57606a; --ground: #ffffff; --box: #f6f8fa; }
    @media (prefers-color-scheme: dark) { :root { color: #e6edf3; --line: #9198a1; --ground: #0d1117; --box: #212830; } }
    .ground { fill: var(--ground); }
    text { fill: currentColor; text-anchor: middle; }
    .small { font-size: 12px; }
    .start { text-anchor: start; }
    .end { text-anchor: end; }
    .box { fill: var(--box); stroke: var(--line); }
    .any { fill: none; stroke: var(--line); stroke-dasharray: 4 3; }
    .way { fill: none; stroke: var(--line); stroke-width: 1.5; marker-end: url(#head); }
    .head { fill: var(--line); }
  """


@frozen(kw_only=True)
class Box:
    """
    A state, or in `StateDiagram.groups` several of them.

    Attributes:
        center: Its center.
        text: Lines below the name of the state; for a group, all of its lines.
        width: Its width.
        height: Its height.
    """

    center: Point
    text: Sequence[str] = ()
    width: float = 160
    height: float = _BOX_HEIGHT

    @property
    def corner(self) -> Point:
        """
        The top left corner.
        """
        return self.center[0] - self.width / 2, self.center[1] - self.height / 2

    def has_on_edge(self, point: Point) -> bool:
        """
        Return whether a point is on the edge.
        """
        x, y = (abs(mine - its) for mine, its in zip(self.center, point, strict=True))
        on_side = x == self.width / 2 and y <= self.height / 2
        return on_side or (y == self.height / 2 and x <= self.width / 2)


@frozen(kw_only=True)
class Arrow:
    """
    One or more transitions to the same state, drawn as one line.

    Attributes:
        rows: The transitions. Several share an arrow if its start is the edge of a group.
        points: The corners of the line, from the edge of a box to the edge of another one.
        label: Lines of text.
        at: The position of the label's first line.
        anchor: Where that position is: at the ``start``, ``middle`` or ``end`` of the line.
    """

    rows: Sequence[Row]
    points: Sequence[Point]
    label: Sequence[str]
    at: Point
    anchor: str = "middle"


@frozen(kw_only=True)
class StateDiagram:
    """
    A table of transitions, and its layout.

    Attributes:
        title: What the diagram shows, for those who cannot see it.
        size: Its width and height.
        table: The state that follows each `Row`.
        boxes: The box of each state.
        groups: Boxes with a dashed edge that stand for several states.
        arrows: The arrows.
    """

    title: str
    size: tuple[int, int]
    table: Mapping[Any, Enum]
    boxes: Mapping[Enum, Box]
    arrows: Sequence[Arrow]
    groups: Mapping[tuple[Enum, ...], Box]

    def render(self) -> str:
        """
        Return the SVG.

        Raises:
            ValueError: The layout does not fit the table.
        """
        self._check()
        width, height = self.size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            'aria-labelledby="title" font-family="system-ui, sans-serif" font-size="14">\n'
            f'  <title id="title">{escape(self.title)}</title>\n'
            f"  <style>{_STYLE}</style>\n"
            '  <defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path class="head" d="M0 0 8 4 0 8z"/></marker></defs>\n'
            f'  <rect class="ground" width="{width}" height="{height}"/>\n'
        )
        return head + "".join(f"  {line}\n" for line in self._lines()) + "</svg>\n"

    def _lines(self) -> Iterator[str]:
        for state, box in self.boxes.items():
            yield from _box(box, (state.name.lower(), *box.text), "box")
        for box in self.groups.values():
            yield from _box(box, box.text, "any")
        for arrow in self.arrows:
            rows = " ".join(f"{state.name}:{cause.name}" for state, cause in arrow.rows)
            target = self.table[arrow.rows[0]].name
            path = " L".join(f"{x:g} {y:g}" for x, y in arrow.points)
            yield f'<path class="way" data-rows="{rows}" data-to="{target}" d="M{path}"/>'
            yield from _text(arrow.label, arrow.at, f"small {arrow.anchor}")

    def _check(self) -> None:
        drawn = [row for arrow in self.arrows for row in arrow.rows]
        if len(drawn) != len(set(drawn)) or set(drawn) != set(self.table):
            different = sorted(map(str, set(drawn) ^ set(self.table)))
            msg = f"arrows and table differ, or an arrow is there twice: {different}"
            raise ValueError(msg)
        for arrow in self.arrows:
            sources = tuple(dict.fromkeys(state for state, _ in arrow.rows))
            targets = {self.table[row] for row in arrow.rows}
            start = self.boxes[sources[0]] if len(sources) == 1 else self.groups[sources]
            if len(targets) != 1 or not (
                start.has_on_edge(arrow.points[0])
                and self.boxes[targets.pop()].has_on_edge(arrow.points[-1])
            ):
                msg = f"the arrow {arrow.label} does not connect the boxes of its states"
                raise ValueError(msg)


def _box(box: Box, lines: Sequence[str], kind: str) -> Iterator[str]:
    x, y = box.corner
    yield (
        f'<rect class={quoteattr(kind)} x="{x:g}" y="{y:g}" width="{box.width:g}" '
        f'height="{box.height:g}" rx="5"/>'
    )
    middle, first = box.center[0], box.center[1] - (len(lines) - 1) * _LINE_HEIGHT / 2
    yield from _text(lines[:1], (middle, first + _TEXT_DROP), "")
    yield from _text(lines[1:], (middle, first + _LINE_HEIGHT + _TEXT_DROP), "small")


def _text(lines: Sequence[str], at: Point, kind: str) -> Iterator[str]:
    for number, line in enumerate(lines):
        x, y = at[0], at[1] + number * _LINE_HEIGHT
        yield f'<text class={quoteattr(kind)} x="{x:g}" y="{y:g}">{escape(line)}</text>'
