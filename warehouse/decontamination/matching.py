"""Rows against the index: what overlaps, the evidence for it, and what becomes of the row.

A text overlaps with a question if it holds one n-gram of it that tells enough, or half of all its n-grams, or half of
its shorter ones, as a copy does that was changed here and there; or, of a short question, all words in a row. Answers
are full of phrases that are anyone's, such as "I hope this email finds you well": a text overlaps with one if it holds
half of its n-grams, or as many of them as an n-gram has words.
"""

from collections.abc import Sequence
from typing import Literal

import polars as pl
import pyarrow as pa

from schemas.drops import DropReason
from schemas.outcome import NOTHING_DROPPED, Outcome
from warehouse.decontamination.index import Index

OVERLAP = pa.schema(
    [
        pa.field("ref", pa.int64(), nullable=False),
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("ngrams", pa.int64(), nullable=False),  # distinct n-grams of the item that the text holds
        pa.field("share", pa.float64(), nullable=False),  # of the n-grams that the item has
        pa.field("near", pa.float64(), nullable=False),  # share of the shorter n-grams (NEAR) that a question has
        pa.field("words", pa.string(), nullable=False),  # longest run in the text, as it stands there
        pa.field("start", pa.int64(), nullable=False),  # characters of the text: words == text[start:end]
        pa.field("end", pa.int64(), nullable=False),
    ]
)
"""One text and one item that overlap, and the evidence. `ref` has the type that it was given in."""

SHARE = 0.5
"""Of an item's n-grams, long or short, from which a text counts as nearly the item, whatever its n-grams tell."""

FEWEST, FEWEST_SHORT = 3, 8
"""N-grams, long and short, that this must be at least: half of two is chance, and a proverb has six of four words."""

CONTAMINATED = pa.field("contaminated", pa.list_(pa.string()))
"""Column of flagged rows: `benchmark/item/part@column:start-end` for every overlap; empty where there is none."""


def find_overlaps(rows: pa.Table, index: Index) -> pa.Table:
    """Find the items that texts (`ref, text`) overlap with (OVERLAP), by row, then by how much is shared."""
    shared = _share_out(index.search(rows["text"]), index)
    texts = pl.DataFrame(rows.select(["ref", "text"])).with_columns(row=pl.int_range(pl.len()))
    found = (
        _judge(shared, index)
        .join(_longest_runs(shared), on=["row", "owner"])
        .join(texts.with_columns(pl.col("row").cast(pl.Int64)), on="row")
        .join(
            pl.DataFrame(index.texts).with_row_index("owner").with_columns(pl.col("owner").cast(pl.Int64)), on="owner"
        )
        .with_columns(words=pl.col("text").str.slice(pl.col("start"), pl.col("end") - pl.col("start")))
        .sort("row", "share", "near", "owner", descending=[False, True, True, False])
    )
    schema = OVERLAP.set(0, rows.schema.field("ref"))
    return found.select(OVERLAP.names).to_arrow().cast(schema)


def decontaminate(
    rows: pa.Table,
    texts: Sequence[str],
    index: Index,
    action: Literal["drop", "flag"],
    *,
    seamless: bool = False,
) -> Outcome:
    """Drop or flag the rows that overlap with a benchmark.

    texts: the columns to look into, text or messages; each alone, or with `seamless` as one text in which the columns
        follow each other without a gap (`prefix`, `suffix`), and then evidence counts characters from the first one's.
    drop: CONTAMINATED, with the strongest evidence in `detail` and in columns; the rows kept are as they came.
    flag: all rows stay, and get the column CONTAMINATED.
    """
    frame = pl.DataFrame(rows).with_row_index("row")
    pieces = _pieces(frame, texts, seamless=seamless)
    overlaps = pl.DataFrame(find_overlaps(pieces.select(pl.int_range(pl.len()).alias("ref"), "text").to_arrow(), index))
    places = pieces.select("row", "column", ref=pl.int_range(pl.len()))
    found = (
        overlaps.join(places, on="ref")
        .drop("ref")
        .sort("row", "share", "near", descending=[False, True, True], maintain_order=True)
    )
    if action == "flag":
        return Outcome(_flag(rows, frame, found), NOTHING_DROPPED, rows.num_rows)
    kept = frame.join(found, on="row", how="anti", maintain_order="left")["row"].to_arrow()
    return Outcome(rows.take(kept), _explain(frame, found), rows.num_rows)


def _share_out(hits: pl.DataFrame, index: Index) -> pl.DataFrame:
    """Give each hit to all texts of the index that have its n-gram, in the column `owner`.

    telling: whether the n-gram is evidence alone. short: whether it is one of the owner's shorter ones.
    """
    keys = hits["key"].to_numpy()
    posted = hits.with_columns(
        telling=pl.Series(index.telling[keys]).cast(pl.Boolean),
        posting=pl.int_ranges(pl.Series(index.starts[keys]), pl.Series(index.starts[keys + 1])),
    ).explode("posting")
    owner = index.owners[posted["posting"].to_numpy()]
    own = index.texts["size"].to_numpy()[owner]
    short = (posted["size"].to_numpy() < own) | (own == 0)  # 0: all its long ones are boilerplate
    return posted.with_columns(owner=pl.Series(owner), short=pl.Series(short)).drop("posting")


def _judge(shared: pl.DataFrame, index: Index) -> pl.DataFrame:
    """Keep the pairs of text and item that overlap enough: `row, owner, ngrams, share`."""
    items = pl.DataFrame(index.texts).select("question", "keys", "near", owner=pl.int_range(pl.len()))
    long = ~pl.col("short")
    counted = (
        shared.group_by("row", "owner")
        .agg(
            ngrams=pl.col("key").filter(long).n_unique().cast(pl.Int64),
            shorter=pl.col("key").filter("short").n_unique(),
            telling=pl.any("telling"),
            size=pl.col("size").max(),
        )
        .join(items, on="owner")
        .with_columns(share=pl.when(pl.col("keys") > 0).then(pl.col("ngrams") / pl.col("keys")).otherwise(0.0))
        .with_columns(near=pl.when(pl.col("near") > 0).then(pl.col("shorter") / pl.col("near")).otherwise("share"))
    )
    half = (pl.col("share") >= SHARE) & (pl.col("ngrams") >= FEWEST) | (pl.col("share") >= 1) & pl.col("question")
    changed = (pl.col("near") >= SHARE) & (pl.col("shorter") >= FEWEST_SHORT)
    telling = pl.col("telling") & (pl.col("question") | (pl.col("ngrams") >= pl.col("size")))
    return counted.filter(telling | half | changed).select("row", "owner", "ngrams", "share", "near")


def _longest_runs(shared: pl.DataFrame) -> pl.DataFrame:
    """Find the longest run of hits, word by word, of each text and item: `row, owner, start, end`."""
    ordered = shared.sort("row", "owner", "size", "word")
    run = pl.col("word") - pl.int_range(pl.len()).over("row", "owner", "size")
    return (
        ordered.with_columns(run=run)
        .group_by("row", "owner", "size", "run")
        .agg(pl.min("start"), pl.max("end"))
        .sort("row", "owner", pl.col("end") - pl.col("start"), "start", descending=[False, False, True, False])
        .unique(["row", "owner"], keep="first", maintain_order=True)
        .select("row", "owner", "start", "end")
    )


def _pieces(frame: pl.DataFrame, texts: Sequence[str], *, seamless: bool) -> pl.DataFrame:
    """List the texts of each row: `row, column, text`."""
    plain = {name: _plain(name, frame.schema[name]) for name in texts}
    if seamless:
        joined = pl.concat_str(list(plain.values()), ignore_nulls=True)
        return frame.select("row", column=pl.lit("+".join(texts)), text=joined)
    return pl.concat([frame.select("row", column=pl.lit(name), text=text) for name, text in plain.items()])


def _plain(name: str, kind: pl.DataType) -> pl.Expr:
    """Give a column as text; messages as their contents, a blank line between them."""
    if isinstance(kind, pl.List):
        return pl.col(name).list.eval(pl.element().struct.field("content")).list.join("\n\n", ignore_nulls=True)
    return pl.col(name)


def _explain(frame: pl.DataFrame, found: pl.DataFrame) -> pa.Table:
    """Make a dropped row of each row's strongest overlap."""
    more = pl.len() - 1
    strongest = found.group_by("row", maintain_order=True).agg(pl.all().first(), others=more)
    detail = pl.format(
        "{} item {} ({}): {} of its n-grams ({}%; of the shorter ones {}%), in `{}` at {}-{}",
        *("benchmark", "item", "part", "ngrams", _percent("share"), _percent("near"), "column", "start", "end"),
    )
    ref = pl.col("uid") if "uid" in frame.columns else pl.col("row").cast(pl.String)
    told = (
        strongest.with_columns(detail=detail, reason=pl.lit(DropReason.CONTAMINATED.value))
        .join(frame.select("row", ref=ref), on="row", maintain_order="left")
        .drop("row")
    )
    return told.to_arrow()


def _percent(share: str) -> pl.Expr:
    return (pl.col(share) * 100).round().cast(pl.Int64)


def _flag(rows: pa.Table, frame: pl.DataFrame, found: pl.DataFrame) -> pa.Table:
    """Fill the column CONTAMINATED."""
    place = pl.format("{}/{}/{}@{}:{}-{}", "benchmark", "item", "part", "column", "start", "end")
    flags = found.group_by("row").agg(contaminated=place)
    none = pl.lit([], pl.List(pl.String))
    column = (
        frame.select("row")
        .join(flags, on="row", how="left", maintain_order="left")
        .select(pl.coalesce("contaminated", none))
    )
    values = column.to_arrow()["contaminated"].cast(CONTAMINATED.type)
    at = rows.schema.get_field_index(CONTAMINATED.name)
    return rows.append_column(CONTAMINATED, values) if at < 0 else rows.set_column(at, CONTAMINATED, values)
