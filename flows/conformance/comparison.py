"""Comparisons of rows: two readings of one input, and rows with what holds of all."""

from collections.abc import Iterator, Sequence

import polars as pl

from flows.conformance.findings import Finding, fault, judge
from flows.conformance.forms import KEYS
from flows.conformance.specimen import Specimen


def compare_rows(first: pl.DataFrame, second: pl.DataFrame, reading: str) -> Iterator[Finding]:
    """Say where two readings of one input differ, whatever the order of their rows. reading: what the second was."""
    if first.height != second.height:
        missing = f"{second.height:,} rows instead of {first.height:,}"
        yield fault(
            f"{reading} gives {missing}", "read", "the same rows, whatever the slices: a row is its first byte's"
        )
        return
    keys = [name for name in KEYS if name in first.columns]
    for name in [*keys, *(name for name in first.columns if name not in keys)]:
        among = keys[: keys.index(name)] if name in keys else keys
        ours, theirs = (_list_values(frame, [*among, name]) for frame in (first, second))
        differ = ours != theirs
        if differ.any():
            at = int(differ.arg_max() or 0)
            yield fault(
                f"`{name}` differs in {reading}: `{ours[at]}` is `{theirs[at]}` there",
                f"column {name}",
                "values made of the row alone: no counter, no clock, no chance, no Python hash()",
            )
            return


def _list_values(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """List rows as JSON, sorted."""
    return frame.select(pl.struct(columns).struct.json_encode()).to_series().sort()


def judge_rows(
    specimen: Specimen, wrong: pl.Expr, what: str, expected: str, *, tolerant: bool = True
) -> Iterator[Finding]:
    """Judge the rows for which an expression holds."""
    count = specimen.rows.filter(wrong).height
    if count:
        found = fault(f"{what} ({count} of {specimen.rows.height} rows)", locate(specimen, wrong), expected)
        yield from judge(count, specimen.rows.height, found) if tolerant else [found]


def locate(specimen: Specimen, wrong: pl.Expr) -> str:
    """Name the first row for which an expression holds."""
    key = specimen.form.keys[-1]
    row = specimen.rows.filter(wrong).head(1)
    ids = row[key].to_list() if row.height else []
    return f"table {specimen.source.main}, {key} {ids[0] if ids else '-'}"
