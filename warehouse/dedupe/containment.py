"""Containment: a text of one route that stands inside a text of another, such as a thread's question in a crawled page.

Around the question a page has answers and navigation, so that the Jaccard similarity of the two is low however
faithfully the one repeats the other. What tells is the share of the smaller text's shingles that the larger one has.
It is estimated from the shingles with low hashes (FracMinHash): a shingle that is sampled in one text is sampled in
every text that contains it, whatever else is there.
Source: L. Irber et al., "Lightweight compositional analysis of metagenomes with FracMinHash and minimum metagenome
covers", 2022, doi 10.1101/2022.01.11.475838.
"""

import unicodedata

import numpy as np
import polars as pl
import pyarrow as pa

from warehouse.dedupe import kernel
from warehouse.dedupe.bands import Link
from warehouse.dedupe.edges import EDGES
from warehouse.dedupe.shingles import letter_table
from warehouse.dedupe.signatures import buffers_of

SCALE = 4
"""One shingle of so many is sampled. sourmash takes 1 of 1000 of a genome's; a question has but dozens of shingles."""

SHORTEST = 12
"""Shingles from which a text takes part. Shorter ones are sentences that many texts may hold."""

_HIGHEST = np.uint64(2**64 // SCALE - 1)

LEAST = 4
"""Sampled shingles that two texts must share at least: with fewer the estimate says nothing."""

CROWD = 50
"""A shingle that more texts of one route have is boilerplate: it pairs nobody, and no text is measured by it."""

SAMPLED = pa.schema([("key", pa.uint64()), ("ref", pa.uint64()), ("size", pa.uint32()), ("side", pa.uint8())])
OVERLAPS = pa.schema(
    [
        *((side, pa.uint64()) for side in ("left", "right")),
        *((number, pa.uint32()) for number in ("shared", "left_size", "right_size")),
    ]
)
"""Pairs, with what they share and how much each has; where `left` is `right`, `shared` says what of it is boilerplate.

`left` is of the greater side. Sizes are of whole groups, whatever part of the shingles `shared` has seen.
"""


def fingerprint(shingle: int) -> str:
    """Name everything that edges depend on, besides the texts and the threshold."""
    letters = f"unicode-{unicodedata.unidata_version}"
    return f"{kernel.VERSION}/{letters}/shingle-{shingle}/scale-{SCALE}/from-{SHORTEST}-{LEAST}/crowd-{CROWD}"


def sample_shingles(groups: pa.Table, shingle: int, side: int) -> pa.Table:
    """Sample the shingles of each group (of `ref, text`) -> SAMPLED, one row a shingle.

    key: uint64, the shingle's hash. size: sampled shingles of the group. side: of the groups' route, as given.
    shingle: tokens a shingle. Texts that are too short for an estimate have no row.
    """
    data, offsets = buffers_of(groups["text"])
    shingles, sampled = np.empty(groups.num_rows, np.int64), np.empty(groups.num_rows, np.int64)
    keys = kernel.sample(data, offsets, letter_table(), shingle, _HIGHEST, shingles, sampled)
    enough = np.repeat((shingles >= SHORTEST) & (sampled >= LEAST), sampled)
    columns = (keys, np.repeat(groups["ref"].to_numpy(), sampled), np.repeat(sampled.astype(np.uint32), sampled))
    rows = [column[enough] for column in columns]
    return pa.table([*rows, np.full(len(rows[0]), side, np.uint8)], schema=SAMPLED)


def pair_overlaps(rows: pa.Table, crowd: int = CROWD) -> pa.Table:
    """Pair the groups of different sides that share a shingle -> OVERLAPS, one row a pair and a group with boilerplate.

    All rows with a key must be there: one hash bucket of keys, of whose shingles alone `shared` tells.
    crowd: texts of one route that may have a shingle before it is boilerplate.
    """
    crowded = (pl.len().over("key", "side") > crowd).any().over("key")
    frame = pl.DataFrame(rows).with_columns(crowded=crowded)
    rare = frame.filter(~pl.col("crowded"), pl.col("side").n_unique().over("key") > 1)
    pairs = [
        rare.filter(pl.col("side") > side).join(rare.filter(pl.col("side") == side), on="key", suffix="_right")
        for side in rare["side"].unique().sort()
    ]
    common = frame.filter("crowded").select("ref", "size", ref_right="ref", size_right="size")
    found = pl.concat([common, *(pair.select(common.columns) for pair in pairs)])
    return _overlaps(
        found.rename({"ref": "left", "ref_right": "right"})
        .group_by("left", "right")
        .agg(shared=pl.len(), left_size=pl.first("size"), right_size=pl.first("size_right"))
    )


def sum_overlaps(overlaps: pa.Table) -> pa.Table:
    """Sum up what each pair shares in all buckets of keys, and leave boilerplate out of `right_size` -> OVERLAPS.

    All rows of a `right` must be there. Pairs that share too little for an estimate are gone.
    """
    frame = pl.DataFrame(overlaps)
    sums = (
        frame.filter(pl.col("left") != pl.col("right"))
        .group_by("left", "right")
        .agg(pl.sum("shared"), pl.first("left_size", "right_size"))
    )
    return _overlaps(_leave_out_boilerplate(sums.filter(pl.col("shared") >= LEAST), frame, "right"))


def find_contained(sums: pa.Table, overlaps: pa.Table, threshold: float) -> pa.Table:
    """Join each `left` to the one `right` with which it has most in common, where that reaches the threshold -> EDGES.

    Only to one: a page that lists many questions is a copy of each, and falls with one of them rather than make one
    cluster of them all. (Where pages are preferred it is each question that falls with a page.)

    sums: all rows of a `left`, of `sum_overlaps`. overlaps: the rows about the boilerplate in a `left`, and any others.
    threshold: share of the smaller text's shingles. `jaccard` is null: it is not what was looked at.
    """
    pairs = _leave_out_boilerplate(pl.DataFrame(sums), pl.DataFrame(overlaps), "left")
    share = pl.col("shared") / pl.min_horizontal("left_size", "right_size")
    near = pairs.filter(share >= threshold - 1e-9)  # .8 * 5 may be a hair above 4
    best = near.sort("left", share, "shared", "right", descending=[False, True, True, False])
    edges = best.unique("left", keep="first", maintain_order=True).select(
        "left", "right", kind=pl.lit(str(Link.CONTAINED)), jaccard=pl.lit(None, pl.Float32)
    )
    return edges.to_arrow().cast(EDGES)


def _leave_out_boilerplate(pairs: pl.DataFrame, overlaps: pl.DataFrame, side: str) -> pl.DataFrame:
    """Reduce the size of the groups on that side to the shingles by which they are measured."""
    own = overlaps.filter(pl.col("left") == pl.col("right")).group_by(side).agg(boilerplate=pl.sum("shared"))
    size = f"{side}_size"
    return pairs.join(own, on=side, how="left").with_columns(pl.col(size) - pl.col("boilerplate").fill_null(0))


def _overlaps(frame: pl.DataFrame) -> pa.Table:
    return frame.select(OVERLAPS.names).sort("left", "right").to_arrow().cast(OVERLAPS)
