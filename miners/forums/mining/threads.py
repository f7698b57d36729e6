"""Posts to threads: the posts of threads that can give pairs, rendered to Markdown, each with its reply score.

A source knows its posts; only here, where a thread's posts meet, can be said which of them count. Bodies are rendered
only after that, since most posts stand in threads with one reply (WorldPM A.1) and rendering is the dearest step.
"""

import polars as pl
import pyarrow as pa

from miners.text.markdown import render_markdown
from schemas.drops import DropReason
from schemas.identity import below_share, digest, hash64
from schemas.inputs import POST, Kind, Markup
from schemas.outcome import Outcome

THREAD_POST = pa.schema(
    [
        *POST,
        pa.field("group_id", pa.string(), nullable=False),  # source/community/thread
        pa.field("reply_score", pa.int64(), nullable=False),  # net votes + 1 if accepted (WorldPM A.2)
        pa.field("chars", pa.int64(), nullable=False),  # of title and body as they are shown
        pa.field("text_hash", pa.string(), nullable=False),  # of title and body
    ]
)
"""Posts of threads that can give pairs: POST with Markdown bodies, `accepted` resolved, and what pairs need."""

_QUESTION, _ANSWER, _COMMENT = (pl.col("kind") == kind for kind in (Kind.QUESTION, Kind.ANSWER, Kind.COMMENT))
_ALIVE = pl.col("reason").is_null()
SHOWN = pl.concat_str(pl.col("title"), pl.col("body"), separator="\n\n", ignore_nulls=True)
_GROUP_ID = pl.concat_str("source", "community", "thread_id", separator="/")
_KIND_ORDER = pl.col("kind").replace_strict({Kind.QUESTION: 0, Kind.ANSWER: 1, Kind.COMMENT: 2}, return_dtype=pl.Int8)


def assemble_threads(posts: pa.Table, *, sample: float = 1.0, seed: int = 0) -> Outcome:
    """Take all posts of some threads; keep those of threads with at least two replies that differ in score.

    sample: share of threads to look at, chosen by hash. Rows come out sorted by thread, kind, time and id, whatever
    the order in which they came in.
    """
    frame = pl.DataFrame(posts.select(POST.names)).with_columns(
        group_id=_GROUP_ID,
        reason=pl.lit(None, pl.String),
    )
    frame = _mark_copies(frame)
    frame = _mark(frame, DropReason.ORPHAN_COMMENT, pl.col("thread_id").is_null())
    frame = _mark(frame, DropReason.NOT_SAMPLED, ~below_share(hash64(pl.lit(f"sample {seed}"), "group_id"), sample))
    frame = _resolve(_mark(frame, DropReason.EMPTY_BODY, _is_empty()))
    frame = _mark_ineligible(frame)
    frame = _mark(_render(frame), DropReason.EMPTY_BODY, _is_empty())
    frame = _mark_ineligible(frame)
    return _finish(frame, posts.num_rows)


def _mark(frame: pl.DataFrame, reason: DropReason, condition: pl.Expr) -> pl.DataFrame:
    """Give the rows that are still alive and meet the condition a reason to be dropped."""
    return frame.with_columns(
        reason=pl.when(_ALIVE & condition.fill_null(value=False)).then(pl.lit(reason.value)).otherwise("reason")
    )


def _mark_copies(frame: pl.DataFrame) -> pl.DataFrame:
    """Of several rows with one id the newest stays: the last edited, then the last created, then the best voted."""
    frame = frame.sort(pl.max_horizontal("edited_at", "created_at"), "score", "body", descending=True, nulls_last=True)
    return _mark(frame, DropReason.DUPLICATE_ID, ~pl.struct("source", "community", "post_id").is_first_distinct())


def _is_empty() -> pl.Expr:
    """Nothing to read: a reply without a body, a question with neither title nor body."""
    blank = pl.col("body").str.strip_chars().str.len_bytes() == 0
    untitled = pl.col("title").fill_null("").str.strip_chars().str.len_bytes() == 0
    return blank & (untitled | ~_QUESTION)


def _resolve(frame: pl.DataFrame) -> pl.DataFrame:
    """Say of each reply whether the asker accepted it and whether the asker wrote it, and sum up its score."""
    questions = frame.filter(_ALIVE & _QUESTION).select(
        "group_id", asker="author", chosen_reply="accepted_post_id", chosen_at="accepted_at"
    )
    frame = frame.join(questions.unique("group_id", keep="first"), on="group_id", how="left", maintain_order="left")
    named = _ANSWER & (pl.col("chosen_reply") == pl.col("post_id"))
    accepted = pl.coalesce(pl.col("accepted"), named).fill_null(value=False)
    return frame.with_columns(
        accepted=accepted,
        accepted_at=pl.when(accepted).then(pl.coalesce("accepted_at", "chosen_at")),
        author_is_asker=pl.coalesce("author_is_asker", pl.col("author") == pl.col("asker")),
        reply_score=pl.col("score") + accepted.cast(pl.Int64),
    ).drop("asker", "chosen_reply", "chosen_at")


def _mark_ineligible(frame: pl.DataFrame) -> pl.DataFrame:
    """Mark replies without their question, and whole threads that cannot give a pair."""
    asked = (_ALIVE & _QUESTION).any().over("group_id")
    frame = _mark(frame, DropReason.ORPHAN_REPLY, ~asked)
    score = pl.when(_ALIVE & _ANSWER).then("reply_score")
    frame = frame.with_columns(
        _replies=score.count().over("group_id"), _spread=(score.max() - score.min()).over("group_id")
    )
    frame = _mark(frame, DropReason.TOO_FEW_REPLIES, pl.col("_replies") < 2)  # noqa: PLR2004 (a pair is two)
    return _mark(frame, DropReason.ALL_TIED, pl.col("_spread") == 0).drop("_replies", "_spread")


def _render(frame: pl.DataFrame) -> pl.DataFrame:
    """Render the bodies of the rows still alive; each markup in one call over its column."""
    rendered = frame.filter(_ALIVE & (pl.col("markup") == Markup.HTML))
    if rendered.is_empty():
        return frame
    bodies = pl.Series("body", pl.from_arrow(render_markdown(rendered["body"].to_arrow())))
    rendered = rendered.with_columns(bodies.cast(pl.String), markup=pl.lit(Markup.MARKDOWN.value))
    others = frame.filter(~(_ALIVE & (pl.col("markup") == Markup.HTML)))
    return pl.concat([rendered, others])


def _finish(frame: pl.DataFrame, rows_in: int) -> Outcome:
    kept = (
        frame.filter(_ALIVE)
        .with_columns(SHOWN.str.len_chars().cast(pl.Int64).alias("chars"), text_hash=digest(SHOWN))
        .sort("group_id", _KIND_ORDER, "created_at", "post_id")
    )
    dropped = frame.filter(~_ALIVE).with_columns(ref=pl.concat_str("source", "community", "post_id", separator="/"))
    return Outcome(
        kept=kept.select(THREAD_POST.names).to_arrow().cast(THREAD_POST),
        dropped=dropped.drop("group_id", "reply_score").to_arrow(),
        rows_in=rows_in,
    )
