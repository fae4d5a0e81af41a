"""The main table as plain text, for the terminal at the end of a run."""

import polars as pl

WIDTH = 100
NAME_WIDTH = 24
# Heading, ending of the column in the main table.
COLUMNS = (
    ("Spec", " specificity"),
    ("Corr", " correctness"),
    ("HM", " hm"),
    ("paper HM", " published hm"),
)


def main_table_text(main: pl.DataFrame) -> str:
    """The main table in at most 100 columns; groups that do not fit side by side go below.

    Args:
        main: as `tables.main_table` makes it, or read back from its CSV file.
    """
    runs = [_cut(run, NAME_WIDTH) for run in main["run"]]
    names = ["", "run", *runs]
    left = [name.ljust(max(map(len, names))) for name in names]
    blocks = [left]
    for group in _groups(main):
        part = _part(main, group)
        if len(blocks[-1][0]) + len(part[0]) > WIDTH:
            blocks.append(left)
        blocks[-1] = [row + cell for row, cell in zip(blocks[-1], part, strict=True)]
    return "\n\n".join("\n".join(row.rstrip() for row in block) for block in blocks)


def _groups(main: pl.DataFrame) -> list[str]:
    return [
        c.removesuffix(" hm")
        for c in main.columns
        if c.endswith(" hm") and not c.endswith(" published hm")
    ]


def _part(main: pl.DataFrame, group: str) -> list[str]:
    """The lines of one group, all of one width: its name, the headings, one line per run."""
    columns = [(head, group + end) for head, end in COLUMNS if group + end in main.columns]
    widths = [max(len(head), 5) + 2 for head, _ in columns]
    lines = ["".join(head.rjust(w) for (head, _), w in zip(columns, widths, strict=True))]
    for row in main.iter_rows(named=True):
        cells = ["-" if row[c] is None else f"{row[c]:.3f}" for _, c in columns]
        lines.append("".join(cell.rjust(w) for cell, w in zip(cells, widths, strict=True)))
    width = sum(widths)
    title = f" {_cut(group, width - 4)} ".center(width - 2, "-")
    return [f"  {title}", *lines]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
