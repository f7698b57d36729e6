"""Windows: the order of a release of continuations, whose rows are each other's negatives within a window.

A window is `size` rows that follow each other, from the start of a file. No two rows of it are of one document or one
duplicate cluster, nor have equal or nearly equal suffixes, but for what the recipe asks for as hard negatives. Apart
from that, chance decides which rows meet: the release's order, a hash of each row.

In a build, the rows that were given a split and a place (`order_rows`, with `together="group_id"` where documents are
to give the hard negatives) are dealt before they are cut into shards:

    deals = plan_deals(counts, splits, places)                   counts: rows a place, as for `plan_cuts`
    deal_windows(rows of deal.places, deal, windows)             a stage: one partition a deal, bucketed by `place`
                                                                 into (places + 1) * len(splits) buckets
    plan_cuts(counts of these, splits, places + 1, ..., window=size)
    take_cut(rows of cut.places, cut)                            as without windows

Each place of the dealt rows holds whole windows, but for the last of each split, which holds what is left over and goes
to the tail. So windows lie inside one file, and row groups are whole numbers of them. A cut has rows of the few deals
only whose partitions have some in its places.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from schemas.drops import DropReason
from schemas.outcome import Outcome
from schemas.recipe import Windows
from warehouse._conflicts import Codes, Signatures, classify, find_alike, find_alike_within, sign_suffixes, unite
from warehouse._hard_negatives import BUNDLE
from warehouse._seating import Flags, Seating, seat

DEAL_ROWS = 20_000
"""Rows dealt at once, or so: enough that few are left over and few crowded, little enough for memory."""


@dataclass(frozen=True, slots=True)
class Deal:
    """Some places of one split whose rows are dealt over windows together.

    places: as `order_rows` numbers them. place: where their windows go, among one place a split more than these have.
    rest: where the rows go that fill no window: the last place of the split.
    """

    split: str
    places: tuple[int, ...]
    place: int
    rest: int


def plan_deals(counts: Mapping[int, int], splits: Sequence[str], places: int, *, rows: int = DEAL_ROWS) -> list[Deal]:
    """Group the places of each split into deals of about so many rows. counts: {place: rows}."""
    deals: list[Deal] = []
    for at, split in enumerate(splits):
        first, rest = at * places, (at + 1) * (places + 1) - 1
        own = np.array([counts.get(first + place, 0) for place in range(places)])
        number = max(int(own.sum()) // rows, 1)
        deal_of = (np.cumsum(own) - own) * number // max(int(own.sum()), 1)
        for one in np.unique(deal_of[own > 0]):
            taken = np.flatnonzero((deal_of == one) & (own > 0)).tolist()
            deals.append(Deal(split, tuple(first + place for place in taken), first + at + taken[0], rest))
    return deals


def deal_windows(rows: pa.Table, deal: Deal, windows: Windows) -> Outcome:
    """Deal the rows of some places (CONTINUATION, `order`, `place`) over as many full windows as there can be.

    kept: the same columns, in their new order; `order` and `place` say it to `plan_cuts` and `take_cut`, and `hard`
        says of a row for which hard negatives were put into its window what makes them hard. The share of these is
        the recipe's at most, and less where hosts or documents have too few rows that do not conflict.
    dropped: rows beyond the number of windows of one document, one cluster or one suffix, as CROWDED.

    The same rows give the same windows, in whatever order they come.
    """
    ordered = rows.take(pa.compute.sort_indices(rows, [("order", "ascending"), ("uid", "ascending")]))
    signatures = sign_suffixes(ordered["suffix"])
    owner, echo = classify(ordered, find_alike(signatures, ordered["suffix_key"]))
    fits, number, seating = _seat_apart(ordered, owner, echo, signatures, windows)
    gone = ordered.filter(pa.array(~fits))
    return Outcome(_lay(ordered, fits, seating, deal, windows), _crowded(gone, number), rows.num_rows)


def _seat_apart(
    rows: pa.Table, owner: Codes, echo: Codes, signatures: Signatures, windows: Windows
) -> tuple[Flags, int, Seating]:
    """Seat the rows, and again as long as alike suffixes meet: shared bands have found nearly all of them, not all."""
    most = round(windows.hard * windows.size)
    parts = rows.select(["group_id", "host", "start", "end"])
    while True:
        fits, number = _crop(owner, echo, windows.size)
        at = np.flatnonzero(fits)
        units = BUNDLE[windows.hard_by](parts.take(pa.array(at)), owner[at], echo[at], max(most, 1))
        seating = seat(owner[at], echo[at], units, number, (windows.size, most)).spread(at, len(owner))
        alike = find_alike_within(signatures, seating.window)
        if not alike.size:
            return fits, number, seating
        echo = unite([echo], alike)


def _crop(owner: Codes, echo: Codes, size: int) -> tuple[Flags, int]:
    """Find the most windows that can be filled when each takes one row of a class at most, and the rows that fit.

    Without those that do not fit there are fewer windows, so that fewer fit: on to the point where all do.
    """
    left = pl.DataFrame({"row": np.arange(len(owner)), "owner": owner, "echo": echo})
    while number := left.height // size:
        fitting = left
        for name in ("owner", "echo"):
            fitting = fitting.filter(pl.int_range(pl.len()).over(name) < number)
        if fitting.height == left.height:
            break
        left = fitting
    fits = np.zeros(len(owner), np.bool_)
    fits[left["row"].to_numpy() if number else slice(None)] = True  # without any window, none is too crowded
    return fits, number


def _lay(rows: pa.Table, fits: Flags, seating: Seating, deal: Deal, windows: Windows) -> pa.Table:
    """Order the rows that fit by window, those of windows that are not full last and in a place of their own.

    `order` counts on within a place, and the rows of the rest keep theirs above all counts.
    """
    frame = pl.DataFrame(rows.select(["order", "place"])).with_columns(
        window=seating.window, hard=seating.hard, row=pl.int_range(pl.len())
    )
    frame = frame.filter(pl.Series(fits))
    full = (pl.col("window") >= 0) & (pl.len().over("window") == windows.size)
    sorted_ = frame.with_columns(full=full).sort(~pl.col("full"), pl.when("full").then("window"), "row")
    count = pl.lit(deal.place * 2**32, pl.UInt64) + pl.int_range(pl.len(), dtype=pl.UInt64)
    laid = sorted_.with_columns(
        order=pl.when("full").then(count).otherwise(pl.lit(2**63, pl.UInt64) + pl.col("order") // 2),
        place=pl.when("full").then(pl.lit(deal.place)).otherwise(pl.lit(deal.rest)),
        hard=pl.when(pl.col("full") & pl.col("hard")).then(pl.lit(windows.hard_by)),
    )
    taken = rows.take(laid["row"].to_arrow())
    for name in ("order", "place", "hard"):
        field = rows.schema.field(name)
        taken = taken.set_column(rows.schema.get_field_index(name), field, laid[name].to_arrow().cast(field.type))
    return taken


def _crowded(rows: pa.Table, number: int) -> pa.Table:
    detail = f"more rows of its document or cluster, or with its suffix, than the {number} windows there are"
    return pa.table(
        {
            "reason": pa.repeat(pa.scalar(DropReason.CROWDED.value), rows.num_rows),
            "ref": rows["uid"],
            "detail": pa.repeat(pa.scalar(detail), rows.num_rows),
        }
    )
