"""Pieces of HTML: escaped text, tables with captions and scopes, figures."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, the heading above it (or none), and a CSS class."""

    heading: str
    group: str | None = None
    css: str = ""


def escaped(text: object) -> str:
    return html.escape(str(text))


def paragraph(text: str, css: str = "") -> str:
    return f"<p{_class(css)}>{escaped(text)}</p>"


def listing(items: Iterable[str]) -> str:
    return "<ul>\n" + "\n".join(f"<li>{item}</li>" for item in items) + "\n</ul>"


def figure(svg: str, caption: str) -> str:
    return f"<figure>\n{svg}\n<figcaption>{escaped(caption)}</figcaption>\n</figure>"


def table(
    caption: str,
    columns: Sequence[Column],
    bodies: Sequence[tuple[str | None, Sequence[Sequence[str]]]],
    marked: frozenset[tuple[int, int]] = frozenset(),
) -> str:
    """A table whose first column names its rows.

    Args:
        caption: plain text above it.
        columns: of which neighbours with the same group share a heading.
        bodies: stretches of rows, each under its name or None; all cells plain text.
        marked: (row, column) of the cells to set off, rows counted from 0 over all bodies.
    """
    lines = [f"<table>\n<caption>{escaped(caption)}</caption>", _head(columns)]
    number = 0
    for name, rows in bodies:
        lines.append("<tbody>")
        if name is not None:
            span = f'colspan="{len(columns)}" scope="rowgroup"'
            lines.append(f"<tr><th {span}>{escaped(name)}</th></tr>")
        for row in rows:
            cells = [f'<th scope="row">{escaped(row[0])}</th>']
            for i in range(1, len(columns)):
                best = " best" if (number, i) in marked else ""
                cells.append(f"<td{_class(columns[i].css + best)}>{escaped(row[i])}</td>")
            lines.append(f"<tr>{''.join(cells)}</tr>")
            number += 1
        lines.append("</tbody>")
    return '<div class="wide">' + "\n".join([*lines, "</table></div>"])


def _head(columns: Sequence[Column]) -> str:
    headings = [f'<th scope="col"{_class(c.css)}>{escaped(c.heading)}</th>' for c in columns]
    if not any(c.group for c in columns):
        return f"<thead><tr>{''.join(headings)}</tr></thead>"
    spans: list[tuple[str, int]] = []
    for column in columns[1:]:
        name = column.group or ""
        if spans and spans[-1][0] == name:
            spans[-1] = (name, spans[-1][1] + 1)
        else:
            spans.append((name, 1))
    structure = "<colgroup></colgroup>" + "".join(
        f'<colgroup span="{n}"></colgroup>' for _, n in spans
    )
    above = "".join(f'<th colspan="{n}" scope="colgroup">{escaped(name)}</th>' for name, n in spans)
    corner = f'<th rowspan="2" scope="col">{escaped(columns[0].heading)}</th>'
    return f"{structure}<thead><tr>{corner}{above}</tr>\n<tr>{''.join(headings[1:])}</tr></thead>"


def _class(css: str) -> str:
    return f' class="{css.strip()}"' if css.strip() else ""
