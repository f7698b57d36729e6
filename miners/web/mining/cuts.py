"""Cuts: where the blocks of documents begin, are cut and end. First in tokens, on a grid; then in characters.

Every place is found and moved by itself, by one rule. So the end of a block and the beginning of the next, which are
one place in tokens, stay one place in characters: blocks tile a document whatever moves their edges.
"""

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import polars as pl

from miners.text.characters import Integers
from miners.text.spans import find_sentence_ends, find_spans
from miners.web.mining.tokens import Tokens, make_keys
from schemas.errors import RecipeError
from schemas.identity import hash64
from schemas.recipe import Blocks

GRID = {"row": pl.Int64, "number": pl.Int64, "start": pl.Int64, "cut": pl.Int64, "end": pl.Int64}
"""Blocks by the place of their text, their number in it, and their places in tokens."""


def check_blocks(blocks: Blocks, *, has_ids: bool) -> None:
    """Raise RecipeError where a recipe's `blocks` contradict themselves or the tokenizer."""
    length = blocks.prefix + blocks.suffix
    if blocks.mode == "random":
        least, most = blocks.prefix_range or (0, 0)
        if not 0 < least <= most < length:
            raise RecipeError(
                f"`blocks.prefix_range` is {blocks.prefix_range}; with `mode: random` it must be two numbers of "
                f"tokens, the smaller first, below the block's {length}"
            )
    elif blocks.prefix_range is not None:
        raise RecipeError(f"`blocks.prefix_range` is for `mode: random`, and the mode is `{blocks.mode}`")
    if blocks.store_ids and not has_ids:
        raise RecipeError("`blocks.store_ids` needs a tokenizer: name one in `blocks.tokenizer`")


def lay_grid(counts: Integers, blocks: Blocks) -> pl.DataFrame:
    """Lay blocks over texts of so many tokens (GRID): one every `stride`, and a last one within `tolerance`."""
    length = blocks.prefix + blocks.suffix
    stride = blocks.stride or length
    whole = np.where(counts >= length, (counts - length) // stride + 1, 0)
    reached = np.where(whole > 0, (whole - 1) * stride + length, 0)
    has_last = (reached < counts) & (counts - whole * stride >= max(length - blocks.tolerance, 1))
    many = whole + has_last
    rows = np.repeat(np.arange(len(counts)), many)
    numbers = np.arange(len(rows)) - np.repeat(np.cumsum(many) - many, many)
    starts = numbers * stride
    ends = np.minimum(starts + length, counts[rows])
    cuts = np.minimum(starts + blocks.prefix, ends)
    return pl.DataFrame({"row": rows, "number": numbers, "start": starts, "cut": cuts, "end": ends}, schema=GRID)


def draw_cuts(grid: pl.DataFrame, blocks: Blocks, seed: int) -> pl.DataFrame:
    """Draw the cut of each block (GRID and `group_id`) from `prefix_range`, by hash; a short block draws from less."""
    if blocks.prefix_range is None:
        return grid
    least, most = blocks.prefix_range
    width = pl.min_horizontal(most, pl.col("end") - pl.col("start") - 1) - least + 1
    drawn = hash64(pl.lit(f"cut {seed}"), "group_id", "number") % width.clip(lower_bound=1).cast(pl.UInt64)
    return grid.with_columns(cut=pl.min_horizontal(pl.col("start") + least + drawn.cast(pl.Int64), "end"))


@dataclass(frozen=True, slots=True)
class Places:
    """Blocks in characters and in tokens: three rows, `start`, `cut` and `end`, and a column a block.

    fits: which blocks have a prefix and a suffix, and lie near enough to where the grid had them.
    """

    characters: Integers
    tokens: Integers
    fits: npt.NDArray[np.bool_]


def place_blocks(grid: pl.DataFrame, texts: pl.Series, tokens: Tokens, blocks: Blocks) -> Places:
    """Turn the places of a grid into characters, and move them to sentence ends or out of formulas, as is asked.

    A block is left out of `fits` if one of its places had to move by more than half of its shorter part, in tokens.
    """
    rows = grid["row"].to_numpy()
    asked = grid.select("start", "cut", "end").to_numpy().T
    found = tokens.locate(rows, asked)
    moves = blocks.mode == "sentence" or blocks.formulas == "avoid"
    placed = _move(rows, found, texts, blocks) if moves and len(rows) else found
    counted = np.where(placed == found, asked, tokens.count(rows, placed)) if moves else asked
    near = np.abs(counted - asked).max(axis=0, initial=0) <= min(blocks.prefix, blocks.suffix) // 2
    start, cut, end = placed
    return Places(placed, counted, near & (start < cut) & (cut < end))


def _move(rows: Integers, places: Integers, texts: pl.Series, blocks: Blocks) -> Integers:
    """Move places, in characters, to where the recipe lets a text be cut; in order they stay in order."""
    known = texts.to_list()  # regular expressions take Python's strings
    keys = make_keys(rows, places)
    spans = _find_spans(known) if blocks.formulas == "avoid" else None
    if blocks.mode == "sentence":
        ends = _find_ends(known)
        if spans is not None:
            ends = ends[_leave(ends, spans) == ends]
        keys = _approach(keys, ends)
    elif spans is not None:
        keys = _leave(keys, spans)
    return keys - make_keys(rows, np.zeros_like(rows))


def _find_spans(texts: list[str]) -> tuple[Integers, Integers]:
    """List what is not to be cut: where it begins and where it ends, as keys."""
    found = [find_spans(text) for text in texts]
    rows = _repeat_rows(found)
    begins, ends = np.array(list(chain.from_iterable(found)), np.int64).reshape(-1, 2).T
    return make_keys(rows, begins), make_keys(rows, ends)


def _find_ends(texts: list[str]) -> Integers:
    """List where sentences end, as keys; a text's own two ends are among them."""
    found = [[0, *find_sentence_ends(text), len(text)] for text in texts]
    return make_keys(_repeat_rows(found), np.fromiter(chain.from_iterable(found), np.int64))


def _repeat_rows(found: Sequence[Sized]) -> Integers:
    return np.repeat(np.arange(len(found)), np.fromiter(map(len, found), np.int64, len(found)))


def _leave(keys: Integers, spans: tuple[Integers, Integers]) -> Integers:
    """Move what lies inside a span to its nearer end, the first of two that are as near."""
    begins, ends = spans
    if not len(begins):
        return keys
    before = np.maximum(np.searchsorted(begins, keys) - 1, 0)
    begin, end = begins[before], ends[before]
    return np.where((begin < keys) & (keys < end), np.where(keys - begin <= end - keys, begin, end), keys)


def _approach(keys: Integers, stops: Integers) -> Integers:
    """Move to the nearest stop of the text, the first of two that are as near."""
    behind = np.searchsorted(stops, keys)
    after, before = stops[behind], stops[np.maximum(behind - 1, 0)]
    return np.where(np.abs(keys - before) <= after - keys, before, after)
