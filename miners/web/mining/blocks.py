"""Blocks: documents become prefixes and true suffixes (RBS, arXiv 2603.02225), lossless by construction.

A block is a piece of one document, cut once: `prefix + suffix == document[start:end]`, in characters, for every row and
any tokenizer. Tokens only say where; texts are slices of the document's own bytes, and nothing is ever decoded.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from miners.text.characters import Characters, Integers, lay_out
from miners.web.mining.cuts import Places, check_blocks, draw_cuts, lay_grid, place_blocks
from miners.web.mining.documents import GROUP_ID
from miners.web.mining.sites import name_host
from miners.web.mining.tokens import Tokenizer, Tokens
from schemas.drops import DropReason
from schemas.identity import digest, hash64
from schemas.inputs import DOCUMENT, Route
from schemas.mining import BLOCK
from schemas.outcome import Outcome
from schemas.recipe import Blocks

_AT_ONCE = 1 << 22  # bytes of text; their tokens take some twenty times as much
_GIVEN = ("source", "doc_id", "group_id", "cluster_id", "language", "license", "url", "crawled_at")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the recipe asks for."""

    blocks: Blocks
    tokenizer: Tokenizer
    seed: int


def cut_blocks(
    documents: pa.Table,
    decisions: pa.Table,
    blocks: Blocks,
    *,
    tokenizer: Tokenizer,
    seed: int = 0,
    community: str | None = None,
) -> Outcome:
    """Cut documents (DOCUMENT) into blocks (BLOCK), sorted by document and place.

    decisions: `group_id, cluster_id, kept` of every document; one that is not named is its own cluster, and kept.
    community: name of the part of the corpus; default: the source's.

    The outcome balances on documents: those that gave a block are consumed, the others dropped as THREAD_DROPPED or
    NO_BLOCK. What a block holds depends on its document, the recipe and the seed alone. Raises RecipeError where
    `blocks` contradict themselves.
    """
    check_blocks(blocks, has_ids=tokenizer.has_ids)
    known = pl.DataFrame(decisions.select(["group_id", "cluster_id", "kept"]))
    frame = pl.DataFrame(documents.select(DOCUMENT.names)).with_columns(group_id=GROUP_ID)
    frame = frame.join(known, on="group_id", how="left", maintain_order="left").sort("group_id")
    stays = pl.col("kept").fill_null(value=True)
    alive = frame.filter(stays)
    kept = pl.concat(_cut_texts(part, _Asked(blocks, tokenizer, seed)) for part in _divide(alive))
    served = alive["group_id"].is_in(kept["group_id"].implode())
    dropped = pl.concat(
        [
            frame.filter(~stays).with_columns(reason=pl.lit(DropReason.THREAD_DROPPED.value)),
            alive.filter(~served).with_columns(reason=pl.lit(DropReason.NO_BLOCK.value)),
        ]
    )
    return Outcome(
        kept=_describe(kept, blocks.mode, community),
        dropped=dropped.rename({"group_id": "ref"}).drop("cluster_id", "kept").to_arrow(),
        rows_in=documents.num_rows,
        consumed=int(served.sum()),
    )


def _divide(documents: pl.DataFrame) -> list[pl.DataFrame]:
    """Divide documents into runs of about `_AT_ONCE` bytes of text, so that memory does not grow with the partition."""
    size = pl.col("text").str.len_bytes().cast(pl.Int64)
    run = (size.cum_sum() - size) // _AT_ONCE
    runs = documents.with_columns(run=run).partition_by("run", maintain_order=True, include_key=False)
    return runs or [documents]


def _cut_texts(documents: pl.DataFrame, asked: _Asked) -> pl.DataFrame:
    """Cut some documents; answers their blocks with what is known of their documents."""
    blocks, texts = asked.blocks, documents["text"]
    tokens = asked.tokenizer.tokenize(texts)
    grid = lay_grid(tokens.counts, blocks)
    grid = grid.with_columns(documents["group_id"].gather(grid["row"]))
    grid = draw_cuts(grid, blocks, asked.seed)
    places = place_blocks(grid, texts, tokens, blocks)
    start, cut, end = places.characters
    placed = grid.with_columns(fits=places.fits, start=start, cut=cut, end=end)
    stays = _cap(placed, blocks.max_per_document, asked.seed)
    return _write(documents, grid["row"].to_numpy()[stays], _take(places, stays), tokens, asked)


def _cap(grid: pl.DataFrame, most: int | None, seed: int) -> Integers:
    """List the blocks that fit, once each; of each document's those with the smallest hash, at most so many."""
    numbered = grid.with_row_index("at").filter("fits")
    # Blocks that overlap may be moved to the same places.
    numbered = numbered.unique(["row", "start", "cut", "end"], keep="first", maintain_order=True)
    if most is not None:
        draw = hash64(pl.lit(f"block {seed}"), "group_id", "number")
        numbered = numbered.filter(draw.rank("ordinal").over("row") <= most)
    return numbered["at"].cast(pl.Int64).to_numpy()


def _take(places: Places, stays: Integers) -> Places:
    return Places(places.characters[:, stays], places.tokens[:, stays], places.fits[stays])


def _write(documents: pl.DataFrame, rows: Integers, places: Places, tokens: Tokens, asked: _Asked) -> pl.DataFrame:
    """Give each block its texts, places, counts and ids, beside what is known of its document."""
    texts = documents["text"]
    start, cut, end = places.characters
    first, middle, last = places.tokens
    characters = Characters(texts)
    begin, border, stop = (characters.find_bytes(rows, place) for place in places.characters)
    written = texts.cast(pl.Binary).gather(rows)
    return documents.select(_GIVEN)[rows].with_columns(
        prefix=_slice(written, begin, border),
        suffix=_slice(written, border, stop),
        start=start,
        cut=cut,
        end=end,
        prefix_tokens=middle - first,
        suffix_tokens=last - middle,
        prefix_ids=_list_ids(tokens, rows, first, middle) if asked.blocks.store_ids else None,
        suffix_ids=_list_ids(tokens, rows, middle, last) if asked.blocks.store_ids else None,
    )


def _slice(texts: pl.Series, begins: Integers, ends: Integers) -> pl.Series:
    """Take a slice of each text, given in bytes; without copying it."""
    places = pl.DataFrame({"text": texts, "begin": begins, "size": ends - begins})
    return places.select(pl.col("text").bin.slice("begin", "size").cast(pl.String)).to_series()


def _list_ids(tokens: Tokens, rows: Integers, begins: Integers, ends: Integers) -> pl.Series:
    """List the ids of tokens `begins` to `ends` of each row's text. A token that a place runs through is before it."""
    assert tokens.ids is not None
    offsets = lay_out(ends - begins)
    steps = np.repeat(tokens.offsets[rows] + begins - offsets[:-1], ends - begins)
    ids = tokens.ids[np.arange(offsets[-1]) + steps]
    return pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(offsets, ids)))


def _describe(blocks: pl.DataFrame, mode: str, community: str | None) -> pa.Table:
    """Put blocks into their envelope (BLOCK)."""
    spaced = pl.col("suffix").str.replace_all(r"\s+", " ").str.strip_chars(" ")
    described = blocks.with_columns(
        uid=digest("group_id", "start", "cut", "end", "prefix", "suffix"),
        route=pl.lit(Route.WEB.value),
        community=pl.col("source") if community is None else pl.lit(community),
        cluster_id=pl.coalesce("cluster_id", "group_id"),
        attribution=pl.lit(None, pl.String),
        created_at="crawled_at",
        weight=pl.lit(1.0, pl.Float32),
        mode=pl.lit(mode),
        host=name_host(pl.col("url")),
        suffix_key=hash64(spaced.str.to_lowercase()),
        hard=pl.lit(None, pl.String),
    )
    return described.sort("group_id", "start").select(BLOCK.names).to_arrow().cast(BLOCK)
