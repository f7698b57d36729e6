"""Bundles: rows that shall share a window because they make hard negatives for each other.

A host's rows are written alike and about one thing; a document's rows even continue each other, so that only those
are taken that lie far enough apart for no suffix to be a second right answer.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from numba import njit

from warehouse._conflicts import Codes, unite


def bundle_hosts(rows: pa.Table, owner: Codes, echo: Codes, most: int) -> pl.DataFrame:
    """Bundle rows of one host, `most` to a bundle, no two of which are in conflict: `row, bundle`.

    Rows that conflict, directly or through others, follow each other as a host's rows are dealt over its bundles.
    """
    frame = pl.DataFrame(rows.select(["host"])).with_columns(row=pl.int_range(pl.len()), kin=unite([owner, echo]))
    listed = frame.filter(pl.col("host").is_not_null()).sort("host", "kin", "row")
    dealt = listed.with_columns(
        at=pl.int_range(pl.len()).over("host"),
        twin=pl.int_range(pl.len()).over("host", "kin"),
        bundles=(pl.len().over("host") // most).clip(1),
    ).filter(pl.col("at") < pl.col("bundles") * most, pl.col("twin") < pl.col("bundles"))
    return _number(dealt.with_columns(number=pl.col("at") % pl.col("bundles")), "host")


def bundle_documents(rows: pa.Table, _owner: Codes, echo: Codes, most: int) -> pl.DataFrame:
    """Bundle far-apart rows of one document, `most` to a bundle, no two with one suffix: `row, bundle`."""
    frame = pl.DataFrame(rows.select(["group_id", "start", "end"])).with_columns(
        row=pl.int_range(pl.len()), echo=pl.Series(echo), group=pl.col("group_id").rank("dense").cast(pl.Int64)
    )
    alone = frame.sort("group", "start", "row").unique(["group", "echo"], keep="first", maintain_order=True)
    apart = _take_apart(*(alone[name].to_numpy() for name in ("group", "start", "end")))
    taken = alone.filter(pl.Series(apart)).with_columns(number=pl.int_range(pl.len()).over("group") // most)
    return _number(taken, "group")


BUNDLE: Mapping[str, Callable[[pa.Table, Codes, Codes, int], pl.DataFrame]] = MappingProxyType(
    {"same_host": bundle_hosts, "same_document": bundle_documents}
)
"""{the recipe's `hard_by`: (rows, class by document, class by suffix, most rows a bundle) -> `row, bundle`}."""


def are_apart(start: pl.Expr, end: pl.Expr, next_start: pl.Expr, next_end: pl.Expr) -> pl.Expr:
    """Whether a block and a later one of its document lie as far apart as the shorter of them is long, or farther."""
    return next_start - end >= pl.min_horizontal(end - start, next_end - next_start)


def _number(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Name each bundle (`key, number`) of two rows or more by its first row; chance has put that one where it is."""
    company = rows.filter(pl.len().over(key, "number") > 1)
    first = company.with_columns(bundle=pl.col("row").min().over(key, "number").cast(pl.Int64))
    return first.sort("bundle", "row").select(pl.col("row").cast(pl.Int64), "bundle")


@njit(cache=True, nogil=True)
def _take_apart(group: Codes, start: Codes, end: Codes) -> npt.NDArray[np.bool_]:
    """Take of each group (all sorted by group and start) the first block, and each that is apart from the last taken.

    The same rule as `are_apart`.
    """
    taken = np.zeros(len(group), np.bool_)
    last = -1
    for row in range(len(group)):
        if last < 0 or group[row] != group[last]:
            taken[row] = True
        else:
            shorter = min(end[row] - start[row], end[last] - start[last])
            taken[row] = start[row] - end[last] >= shorter
        if taken[row]:
            last = row
    return taken
