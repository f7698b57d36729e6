"""The index of benchmarks: the word n-grams of their items, hashed, each with the items that it is from.

A text of n words or more is known by its n-grams (n = 13: GPT-3, Brown et al. 2020, appendix C). A shorter question is
matched as a whole, from six words on; what is shorter still, or says too little, cannot be checked and is reported.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import RecipeError
from warehouse.decontamination.kernel import Table, count_words, find_keys, list_ngrams
from warehouse.decontamination.words import commands, fold_tables
from warehouse.dedupe.kernel import Bytes, Counts, Hashes

ITEMS = pa.schema(
    [
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),  # file and row, as one finds it again
        pa.field("part", pa.string(), nullable=False),  # the column it is from
        pa.field("text", pa.string(), nullable=False),
        pa.field("question", pa.bool_(), nullable=False),  # or an answer, which shares phrases with anyone's
    ]
)
"""Texts to decontaminate against. An item may have several: its question, and the answers to it."""

GRAMS = pa.schema(
    [
        *(ITEMS.field(name) for name in ("benchmark", "item", "part", "question")),
        pa.field("words", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),  # n of its n-grams; its words, if matched whole; 0: not checked
        pa.field("common", pa.int64(), nullable=False),  # n-grams left out, because many items have them
        pa.field("keys", pa.list_(pa.uint64()), nullable=False),  # hashes of its distinct n-grams
        pa.field("telling", pa.list_(pa.bool_()), nullable=False),  # which of them tell enough to be evidence alone
        pa.field("near", pa.list_(pa.uint64()), nullable=False),  # of a question: hashes of its distinct NEAR-grams
    ]
)
"""An index as it is stored: one row a text, of equal texts of a benchmark the first question, else the first."""

COVERAGE = pa.schema(
    [
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("texts", pa.int64(), nullable=False),
        pa.field("by_ngrams", pa.int64(), nullable=False),
        pa.field("as_whole", pa.int64(), nullable=False),
        pa.field("unchecked", pa.int64(), nullable=False),
        pa.field("common_ngrams", pa.int64(), nullable=False),
    ]
)
"""How much of each benchmark can be checked."""

SHORTEST_WHOLE = 6
"""Words from which a short question is matched as a whole; fewer are asked by chance."""

NEAR = 4
"""Words of the shorter n-grams by which a question is known again that was changed in every eighth word or so."""

COMMON = 10
"""Items of one benchmark in which an n-gram may stand; in more it is the benchmark's boilerplate, such as "take your
best guess". (GPT-3 leaves out n-grams that more than ten documents have, in its appendix C.)"""

TELLING = 3
"""Of so many words of an n-gram, one at least must tell something (three letters, or a character of a script without
spaces): `x 1 x 2 x 3 ...` and tables of numbers are no evidence alone."""


@dataclass(frozen=True)
class Index:
    """An index as it is searched; plain arrays, to be sent to any process.

    texts: GRAMS, with the lengths of `keys` and `near` in their place.
    keys: all distinct hashes, sorted; key i is of the texts `owners[starts[i]:starts[i + 1]]`, and is evidence alone if
        `telling[i]`.
    sizes, bits, shifts: see `kernel.Known`.
    """

    texts: pa.Table
    keys: Hashes
    starts: Counts
    owners: Counts
    telling: Bytes
    sizes: Counts
    bits: Bytes
    shifts: Hashes

    def search(self, texts: pa.Array | pa.ChunkedArray) -> pl.DataFrame:
        """Find the n-grams of texts (nulls count as empty) that the index knows.

        Answers one row a hit: `row`, `size`, `word` (number of the n-gram's first word), `start` and `end` (characters
        of the text) and `key` (place among the keys).
        """
        data, offsets = string_buffers(texts)
        hits = find_keys(data, offsets, _table(), (self.sizes, self.keys, self.bits, self.shifts))
        return pl.DataFrame(hits, schema=["row", "size", "word", "start", "end", "key"], orient="row")


def build_index(items: pa.Table, *, ngram: int) -> Index:
    """Index the texts of benchmarks (ITEMS)."""
    return open_index([list_grams(items, ngram=ngram)])


def list_grams(items: pa.Table, *, ngram: int) -> pa.Table:
    """List the n-grams of the texts of benchmarks (ITEMS): an index to be stored (GRAMS), in the order of the items."""
    if ngram < 3:  # noqa: PLR2004 (as recipes say)
        raise RecipeError(f"decontaminate: `ngram` is {ngram}; it must be 3 or more")
    texts = _drop_copies(pl.DataFrame(items.select(ITEMS.names)))
    strings = texts["text"].to_arrow()
    words = np.zeros(texts.height, np.int64)
    count_words(*string_buffers(strings), _table(), words)
    sizes = np.where(words >= ngram, ngram, 0)
    short = (words < ngram) & (words >= min(SHORTEST_WHOLE, ngram)) & texts["question"].to_numpy()
    sizes[short] = words[short]
    nearly = np.where((words >= ngram) & texts["question"].to_numpy() & (ngram > NEAR), NEAR, 0)
    described = texts.select(
        "benchmark", "item", "part", "question", pl.Series("words", words), pl.Series("size", sizes)
    )
    described = described.with_row_index("text")
    chosen = _choose(described, _hash_ngrams(strings, words, sizes), weak=pl.col("size") == ngram)
    near = _choose(described, _hash_ngrams(strings, words, nearly), weak=pl.lit(value=False)).select(near="keys")
    return pl.concat([chosen, near], how="horizontal").select(GRAMS.names).to_arrow().cast(GRAMS)


def open_index(grams: Iterable[pa.Table]) -> Index:
    """Make stored n-grams (GRAMS) searchable."""
    frame = pl.concat([pl.DataFrame(table) for table in grams]).with_columns(text=pl.int_range(pl.len()))
    near = frame.select("text", size=pl.lit(NEAR, pl.Int64), keys="near", telling=pl.lit(value=False))
    long = frame.filter(pl.col("size") > 0).select("text", "size", "keys", "telling").explode("keys", "telling")
    flat = pl.concat([long, near.filter(pl.col("keys").list.len() > 0).explode("keys")]).sort("keys", "text")
    keys, starts = np.unique(flat["keys"].to_numpy(), return_index=True)
    telling = (
        np.maximum.reduceat(flat["telling"].cast(pl.UInt8).to_numpy(), starts) if len(keys) else np.empty(0, np.uint8)
    )
    sizes = flat["size"].unique().sort().to_numpy()
    bits, shifts = _set_bits(flat["size"].to_numpy(), flat["keys"].to_numpy(), sizes)
    return Index(
        texts=frame.with_columns(pl.col("keys", "near").list.len().cast(pl.Int64)).drop("telling", "text").to_arrow(),
        keys=keys,
        starts=np.append(starts, flat.height),
        owners=flat["text"].to_numpy(),
        telling=telling,
        sizes=sizes,
        bits=bits,
        shifts=shifts,
    )


def summarise(index: Index) -> pa.Table:
    """Say how much of each benchmark can be checked (COVERAGE)."""
    whole = (pl.col("size") > 0) & (pl.col("size") == pl.col("words")) & (pl.col("keys") == 1)
    checked = pl.col("keys") > 0
    counts = (
        pl.DataFrame(index.texts)
        .group_by("benchmark", maintain_order=True)
        .agg(
            texts=pl.len(),
            by_ngrams=(checked & ~whole).sum(),
            as_whole=whole.sum(),
            unchecked=(~checked).sum(),
            common_ngrams=pl.sum("common"),
        )
    )
    return counts.to_arrow().cast(COVERAGE)


def string_buffers(texts: pa.Array | pa.ChunkedArray) -> tuple[Bytes, Counts]:
    """Give bytes and offsets (rows + 1) of any kind of string array, sliced or chunked; nulls as empty texts."""
    wide = pc.fill_null(texts.cast(pa.large_string()), "")
    whole = wide.combine_chunks() if isinstance(wide, pa.ChunkedArray) else wide
    if len(whole) == 0:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    _, offsets, data = whole.buffers()
    starts = np.frombuffer(offsets, np.int64)[whole.offset : whole.offset + len(whole) + 1]
    return np.frombuffer(data or b"", np.uint8), starts


def _table() -> Table:
    return (*fold_tables(), *commands())


def _set_bits(size: Counts, keys: Hashes, sizes: Counts) -> tuple[Bytes, Hashes]:
    """Set a bit for each key, few among many for each size -> the bits and the shift of each size (`kernel.Known`).

    A size with few keys keeps to the first part of the bits, which stays in the nearest cache: every size asks at every
    word of a text.
    """
    counts = np.bincount(np.searchsorted(sizes, size), minlength=len(sizes))
    widths = np.array([max(10, (16 * int(count)).bit_length()) for count in counts], np.int64)
    shifts = (64 - widths).astype(np.uint64)
    bits = np.zeros(1 << widths.max(initial=10), np.uint8)
    bits[keys >> shifts[np.searchsorted(sizes, size)]] = 1
    return np.packbits(bits, bitorder="little"), shifts


def _drop_copies(texts: pl.DataFrame) -> pl.DataFrame:
    """Keep the first of equal texts of a benchmark; of questions and answers a question, for its rules see more."""
    placed = texts.with_row_index("place").sort("question", "place", descending=[True, False])
    return placed.unique(["benchmark", "text"], keep="first", maintain_order=True).sort("place").drop("place")


def _hash_ngrams(texts: pa.Array, words: Counts, sizes: Counts) -> pl.DataFrame:
    """Hash the n-grams of each text -> `text`, `size`, `key`, `tells` (its telling words), once for a text and key."""
    counts = np.where(sizes > 0, words - sizes + 1, 0)
    starts = np.concatenate([[0], np.cumsum(counts)])
    keys, tells = np.zeros(starts[-1], np.uint64), np.zeros(starts[-1], np.int64)
    list_ngrams(*string_buffers(texts), _table(), sizes, starts, keys, tells)
    owner = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
    frame = pl.DataFrame({"text": owner, "size": np.repeat(sizes, counts), "key": keys, "tells": tells})
    return frame.unique(["text", "key"], keep="first", maintain_order=True)


def _choose(texts: pl.DataFrame, grams: pl.DataFrame, *, weak: pl.Expr) -> pl.DataFrame:
    """Gather the n-grams by text, without those that many items have, and those that tell too little.

    weak: which n-grams stay although they tell too little, for they may still be half of an item.
    """
    items = pl.col("item").n_unique().over("benchmark", "key")
    telling = pl.col("tells") * TELLING >= pl.col("size")
    marked = grams.join(texts.select("text", "benchmark", "item"), on="text", maintain_order="left").with_columns(
        common=items > COMMON, telling=telling
    )
    kept = ~pl.col("common") & (pl.col("telling") | weak)
    gathered = marked.group_by("text").agg(
        pl.col("key").filter(kept).alias("keys"), pl.col("telling").filter(kept), pl.col("common").sum()
    )
    nothing = {"keys": pl.lit([], pl.List(pl.UInt64)), "telling": pl.lit([], pl.List(pl.Boolean))}
    return (
        texts.join(gathered, on="text", how="left", maintain_order="left")
        .with_columns(pl.col("common").fill_null(0), *(pl.coalesce(name, empty) for name, empty in nothing.items()))
        .with_columns(size=pl.when(pl.col("keys").list.len() > 0).then("size").otherwise(0))
    )
