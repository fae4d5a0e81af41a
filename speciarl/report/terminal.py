"""Tables on the terminal, through rich: as wide as it is, and plain where there is none."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl
from rich.box import MARKDOWN
from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from speciarl.report.visible import visible

WIDTH = 100  # of the main table where no terminal tells its own
NAME_WIDTH = 24
INTERVAL = "95 % interval"
# Heading, ending of the column in the main table.
COLUMNS = (
    ("Spec", " specificity"),
    ("Corr", " correctness"),
    ("HM", " hm"),
    (INTERVAL, " hm interval"),
    ("paper HM", " published hm"),
)


def print_table(frame: pl.DataFrame, console: Console | None = None) -> None:
    """Print a frame whole, as a Markdown table: numbers aligned to the right, "-" for null.

    A terminal folds cells that are too wide for it; elsewhere every row is one line.
    """
    console = console or Console()
    table = Table(box=MARKDOWN)
    for name, kind in frame.schema.items():
        justify: Any = "right" if kind.is_numeric() else "left"
        table.add_column(_text(name), justify=justify, overflow="fold")
    _add_rows(table, frame.rows())
    if not console.is_terminal:
        console.width = _width(console, table)
    console.print(table)


def print_main_table(main: pl.DataFrame, console: Console | None = None) -> None:
    """Print the main table; groups that do not fit side by side go below.

    Args:
        main: as `tables.main_table` makes it, or read back from its CSV file.
        console: standard output where not given.
    """
    console = console or Console()
    if not console.is_terminal:
        console.width = WIDTH
    main = _with_intervals(main)
    left = _part("", {"run": main["run"]}, no_wrap=True, max_width=NAME_WIDTH)
    blocks = [[left]]
    for group in _groups(main):
        columns = {h: main[group + e] for h, e in COLUMNS if group + e in main.columns}
        title = Rule(_text(group), characters="-", style="")
        part = _part(title, columns, justify="right", no_wrap=True, min_width=5)
        if len(blocks[-1]) > 1 and _width(console, _grid([*blocks[-1], part])) > console.width:
            blocks.append([left])
        blocks[-1].append(part)
    for number, block in enumerate(blocks):
        console.line(min(number, 1))
        console.print(_grid(block))


def _with_intervals(main: pl.DataFrame) -> pl.DataFrame:
    """The two ends of each group's interval of HM as one column of text."""
    ends = {group: (f"{group} hm low", f"{group} hm high") for group in _groups(main)}
    return main.with_columns(
        pl.Series(
            f"{group} hm interval",
            [None if low is None else f"{low:.3f}-{high:.3f}" for low, high in main[both].rows()],
            pl.String,
        )
        for group, both in ends.items()
        if set(both) < set(main.columns)
    )


def _groups(main: pl.DataFrame) -> list[str]:
    return [
        c.removesuffix(" hm")
        for c in main.columns
        if c.endswith(" hm") and not c.endswith(" published hm")
    ]


def _part(title: RenderableType, columns: Mapping[str, pl.Series], **form: Any) -> Group:
    """Columns of one form under their title, a line for each run."""
    table = Table(box=None, pad_edge=False)
    for head in columns:
        table.add_column(head, **form)
    _add_rows(table, zip(*columns.values(), strict=True))
    return Group(title, table)


def _grid(parts: Sequence[Group]) -> Table:
    """Side by side; where all is too narrow, the names of the runs give way first."""
    grid = Table.grid(padding=(0, 2))
    for part in parts:
        grid.add_column(no_wrap=part is not parts[0])
    grid.add_row(*parts)
    return grid


def _add_rows(table: Table, rows: Iterable[Iterable[object]]) -> None:
    for row in rows:
        table.add_row(*map(_cell, row))


def _cell(value: object) -> Text:
    if value is None:
        return _text("-")
    return _text(f"{value:.3f}" if isinstance(value, float) else str(value))


def _text(text: str) -> Text:
    """On one line and as it stands: rich's own markup in a name has no effect."""
    return Text(visible(text).replace("\n", "\\n"))


def _width(console: Console, table: Table) -> int:
    """Columns that a table needs to be shown whole."""
    return console.measure(table, options=console.options.update(max_width=100_000)).maximum
