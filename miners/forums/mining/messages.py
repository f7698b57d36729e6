"""Pairs to signals: what a view drew gets its texts, as the message lists that trainers read."""

import polars as pl
import pyarrow as pa

from miners.forums.mining.views import View
from schemas.drops import DropReason
from schemas.inputs import Kind, Route
from schemas.outcome import Outcome
from schemas.signals import PAIR

SIGNAL = pa.schema([field for field in PAIR if field.name != "split"])
"""A PAIR that has not been given its split."""


def select_pairs(pairs: pa.Table, posts: pa.Table, decisions: pa.Table, view: View) -> Outcome:
    """Take one bucket's pairs, posts and dedupe decisions; give the pairs that the view draws, texts and all.

    decisions: `group_id, cluster_id, kept` of every thread. Pairs of threads that dedupe dropped go first.
    """
    frame = pl.DataFrame(pairs).join(
        pl.DataFrame(decisions.select(["group_id", "cluster_id", "kept"])), on="group_id", how="left"
    )
    gone = pl.when(~pl.col("kept").fill_null(value=True)).then(pl.lit(DropReason.THREAD_DROPPED.value))
    frame = view.mark(frame.with_columns(reason=gone.otherwise(None)))
    drawn = frame.filter(pl.col("reason").is_null())
    dropped = frame.filter(pl.col("reason").is_not_null()).rename({"uid": "ref"})
    return Outcome(kept=_write_out(drawn, pl.DataFrame(posts)), dropped=dropped.to_arrow(), rows_in=pairs.num_rows)


def _write_out(drawn: pl.DataFrame, posts: pl.DataFrame) -> pa.Table:
    text = posts.select("group_id", "post_id", "title", "body", "url", "author_name", "license", "flags")
    asked = posts.filter(pl.col("kind") == Kind.QUESTION).select(
        "group_id", "source", "community", question_id="post_id"
    )
    frame = drawn.join(asked, on=["group_id", "question_id"])
    for role in ("question", "chosen", "rejected"):
        side = text.rename({name: f"{role}_{name}" for name in text.columns if name not in {"group_id", "post_id"}})
        frame = frame.join(side, left_on=["group_id", f"{role}_id"], right_on=["group_id", "post_id"])
    return frame.select(**_columns()).sort("uid").to_arrow().cast(SIGNAL)


def _columns() -> dict[str, pl.Expr]:
    """Say how each column of the signal comes about; those not named are the pair store's."""
    question = pl.concat_str("question_title", "question_body", separator="\n\n", ignore_nulls=True)
    made = {
        "route": pl.lit(Route.FORUMS.value),
        "cluster_id": pl.coalesce("cluster_id", "group_id"),
        "language": pl.lit(None, pl.String),
        "license": _licenses(),
        "url": pl.col("question_url"),
        "attribution": _attribution(),
        "created_at": pl.col("asked_at"),
        "weight": pl.lit(1.0, pl.Float32),
        "prompt": _messages("user", question),
        "chosen": _messages("assistant", pl.col("chosen_body")),
        "rejected": _messages("assistant", pl.col("rejected_body")),
    }
    return {name: made.get(name, pl.col(name)) for name in SIGNAL.names}


def _messages(role: str, content: pl.Expr) -> pl.Expr:
    return pl.concat_list(pl.struct(role=pl.lit(role), content=content))


def _licenses() -> pl.Expr:
    """SPDX expression of all three posts' licences: they may be of several versions."""
    every = pl.concat_list("question_license", "chosen_license", "rejected_license")
    return every.list.drop_nulls().list.unique().list.sort().list.join(" AND ")


def _attribution() -> pl.Expr:
    """Name authors and places, as CC BY-SA asks (section 3(a) of 4.0)."""

    def credit(role: str) -> pl.Expr:
        return pl.format(
            "{} ({})",
            pl.col(f"{role}_author_name").fill_null("its author"),
            pl.col(f"{role}_url").fill_null("no link"),
        )

    return pl.format("Question by {}; replies by {} and {}", credit("question"), credit("chosen"), credit("rejected"))
