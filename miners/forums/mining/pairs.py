"""Threads to pairs: of two replies to one question, the one with the higher score is chosen.

The pair store holds every eligible pair (up to a cap) without its texts, which stay with the thread. Views draw from
it, and only what they draw is written out: a change of view recomputes nothing before it.
"""

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from schemas.drops import DropReason
from schemas.identity import digest, hash64
from schemas.inputs import UTC_MILLIS, Kind
from schemas.outcome import Outcome
from schemas.signals import PAIR

_MAX_REPLIES = 200  # a thread of 10,000 replies has 50 million pairs: those of 200 drawn replies are more than any cap

_FROM_PAIR = (
    *(
        "uid",
        "group_id",
        "chosen_id",
        "rejected_id",
        "chosen_votes",
        "rejected_votes",
        "chosen_score",
        "rejected_score",
    ),
    *("chosen_upvotes", "rejected_upvotes", "chosen_downvotes", "rejected_downvotes"),
    *("chosen_accepted", "rejected_accepted", "margin", "chosen_rank", "rejected_rank", "replies"),
    *("chosen_created_at", "rejected_created_at", "chosen_author", "rejected_author"),
    *("prompt_chars", "chosen_chars", "rejected_chars", "prompt_tokens", "chosen_tokens", "rejected_tokens"),
)
PAIR_STORE = pa.schema(
    [
        *(PAIR.field(name) for name in _FROM_PAIR),
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("asked_at", UTC_MILLIS),
        pa.field("draw", pa.uint64(), nullable=False),  # chance, as a hash: views draw the smallest
    ]
)
"""Pairs without their texts."""

_SIDE = {
    "id": "post_id",
    "votes": "score",
    "score": "reply_score",
    "upvotes": "upvotes",
    "downvotes": "downvotes",
    "accepted": "accepted",
    "rank": "rank",
    "created_at": "created_at",
    "author": "author",
    "chars": "chars",
    "text_hash": "text_hash",
}
_CHARS_A_TOKEN = 4  # within 5% of what cl100k counts on forum text


def mine_pairs(posts: pa.Table, *, max_per_thread: int, seed: int = 0) -> Outcome:
    """Take the posts of whole threads (THREAD_POST); give their pairs (PAIR_STORE), sorted by uid.

    Ties give no pair. Beyond `max_per_thread` the pairs with the smallest draw stay. The unit changes: the outcome
    balances on posts, of which comments and replies without a kept pair are dropped.
    """
    frame = pl.DataFrame(posts).with_row_index("row")
    replies = _rank(frame.filter(pl.col("kind") == Kind.ANSWER), seed)
    edges = _cap(_eligible(replies), max_per_thread, seed)
    pairs = _describe(edges, replies, frame.filter(pl.col("kind") == Kind.QUESTION))
    used = pl.concat([edges["chosen_row"], edges["rejected_row"]]).unique()
    return _account(frame, used, pairs)


def _rank(replies: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Rank each thread's replies by score (1 is the best, equals share a rank), and give each reply its chance."""
    return replies.with_columns(
        rank=pl.col("reply_score").rank("min", descending=True).over("group_id").cast(pl.Int32),
        replies=pl.len().over("group_id").cast(pl.Int32),
        chance=hash64(pl.lit(f"pair {seed}"), "group_id", "post_id"),
    )


def _eligible(replies: pl.DataFrame) -> pl.DataFrame:
    """List all pairs of one thread's replies with different scores, as row numbers."""
    drawn = replies.filter(pl.col("chance").rank("ordinal").over("group_id") <= _MAX_REPLIES)
    side = drawn.select(pl.col("group_id").rle_id().alias("thread"), "row", "reply_score", "chance")
    return (
        side.join(side, on="thread", suffix="_rejected")
        .filter(pl.col("reply_score") > pl.col("reply_score_rejected"))
        .select("thread", "chance", "chance_rejected", chosen_row="row", rejected_row="row_rejected")
    )


def _cap(edges: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """Keep the pairs with the smallest draw in each thread."""
    draw = _mix(edges["chance"].to_numpy(), edges["chance_rejected"].to_numpy(), seed)
    return (
        edges.with_columns(draw=pl.Series(draw, dtype=pl.UInt64))
        .sort("thread", "draw", "chosen_row", "rejected_row")
        .group_by("thread", maintain_order=True)
        .head(most)
        .select("chosen_row", "rejected_row", "draw")
    )


def _mix(first: npt.NDArray[np.uint64], second: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """Mix two hashes into one, order and all (the finalizer of SplitMix64, Steele et al. 2014)."""
    z = first + np.uint64(0x9E3779B97F4A7C15) * (second | np.uint64(1)) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _describe(edges: pl.DataFrame, replies: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """Give each pair its columns, taken from the two replies and their question."""
    described = edges.join(replies.select("group_id", "replies", chosen_row="row"), on="chosen_row")
    for role in ("chosen", "rejected"):
        side = replies.select(pl.col("row").alias(f"{role}_row"), *_named(role))
        described = described.join(side, on=f"{role}_row")
    asked = questions.unique("group_id", keep="first", maintain_order=True).select(
        "group_id", question_id="post_id", asked_at="created_at", prompt_chars="chars", prompt_hash="text_hash"
    )
    described = described.join(asked, on="group_id").with_columns(
        uid=digest("group_id", "chosen_id", "rejected_id", "prompt_hash", "chosen_text_hash", "rejected_text_hash"),
        margin=pl.col("chosen_score") - pl.col("rejected_score"),
        prompt_tokens=pl.col("prompt_chars") // _CHARS_A_TOKEN,
        chosen_tokens=(pl.col("prompt_chars") + pl.col("chosen_chars")) // _CHARS_A_TOKEN,
        rejected_tokens=(pl.col("prompt_chars") + pl.col("rejected_chars")) // _CHARS_A_TOKEN,
    )
    return described.select(PAIR_STORE.names).sort("uid")


def _named(role: str) -> list[pl.Expr]:
    return [pl.col(column).alias(f"{role}_{name}") for name, column in _SIDE.items()]


def _account(frame: pl.DataFrame, used: pl.Series, pairs: pl.DataFrame) -> Outcome:
    """Say of each post whether it went into a pair."""
    went = (pl.col("kind") == Kind.QUESTION) | pl.col("row").is_in(used.implode())
    comment = pl.col("kind") == Kind.COMMENT
    reason = (
        pl.when(comment)
        .then(pl.lit(DropReason.NOT_A_CANDIDATE.value))
        .otherwise(pl.lit(DropReason.OVER_PAIR_CAP.value))
    )
    dropped = frame.filter(~went).select(
        reason=reason, ref=pl.concat_str("source", "community", "post_id", separator="/")
    )
    return Outcome(
        kept=pairs.to_arrow().cast(PAIR_STORE),
        dropped=dropped.to_arrow(),
        rows_in=frame.height,
        consumed=frame.height - dropped.height,
    )
