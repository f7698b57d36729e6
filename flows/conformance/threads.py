"""Checks of threads: that posts find each other."""

from collections.abc import Iterator

import polars as pl

from flows.conformance.comparison import judge_rows
from flows.conformance.findings import Finding, conclude, fault, judge, warn
from flows.conformance.specimen import Specimen
from schemas.inputs import Kind

_REPLIES = 2  # that make a pair


def check_threads(specimen: Specimen) -> list[Finding]:
    """Check that replies find their questions and parents, and that a thread has one question."""
    posts = specimen.rows
    replies = posts.filter(pl.col("kind") == Kind.ANSWER).group_by("community", "thread_id").len()
    paired = replies.filter(pl.col("len") >= _REPLIES).height
    questions = posts.filter(pl.col("kind") == Kind.QUESTION).height
    seen = f"{questions:,} threads, {paired:,} of them with two or more answers"
    return conclude(_find_thread_faults(specimen, questions, paired), seen)


def _find_thread_faults(specimen: Specimen, questions: int, paired: int) -> Iterator[Finding]:
    posts = specimen.rows
    asked = posts.filter(pl.col("kind") == Kind.QUESTION).select("community", "thread_id", known=pl.lit(value=True))
    first = (pl.col("kind") == Kind.QUESTION) & pl.col("thread_id").ne_missing(pl.col("post_id"))
    yield from judge_rows(specimen, first, "a question's thread_id is not its post_id", "thread_id == post_id")
    several = posts.filter(pl.col("kind") == Kind.QUESTION).select(pl.struct("community", "thread_id").is_duplicated())
    repeated = int(several.to_series().sum())
    found = fault(f"{repeated} questions share a thread", "column thread_id", "one question a thread")
    yield from judge(repeated, posts.height, found)
    tolerant = not specimen.own and not questions  # a file of comments alone, whose questions lie in another one
    lost = (
        posts.join(asked.unique(), on=["community", "thread_id"], how="left").filter(pl.col("known").is_null()).height
    )
    yield from _judge_orphans(lost, posts.height, tolerant, "posts have no question in the input", "thread_id")
    parents = posts.select("community", parent_id="post_id").unique()
    alone = posts.filter(pl.col("parent_id").is_not_null()).join(parents, on=["community", "parent_id"], how="anti")
    yield from _judge_orphans(
        alone.height, posts.height, tolerant, "posts answer a post that is not in the input", "parent_id"
    )
    circle = count_in_circles(posts)
    found = fault(f"{circle} posts answer each other in a circle", "column parent_id", "chains that end in a question")
    yield from judge(circle, posts.height, found)
    if specimen.own and paired * 2 < questions:
        what = f"of {questions} threads {paired} have two or more answers"
        yield fault(what, "SOURCE.sample", "two or more in most threads: the sample is what tests learn from")


def _judge_orphans(lost: int, rows: int, tolerant: bool, what: str, column: str) -> Iterator[Finding]:  # noqa: FBT001
    """Warn of orphans, which any month's dump has and a build counts; where most posts are, the ids are wrong."""
    if lost * 2 > rows and not tolerant:
        yield fault(f"{lost} of {rows} {what}", f"column {column}", "ids that are written as the post_id they mean")
    elif lost:
        yield warn(f"{lost} of {rows} {what}", f"column {column}", "none; a build drops and counts them")


def count_in_circles(posts: pl.DataFrame) -> int:
    """Count posts whose chain of parents never ends: each round, every post jumps to its parent's parent."""
    chain = posts.unique(["community", "post_id"], keep="first").with_row_index("at")
    at = chain.select("community", parent_id="post_id", to="at")
    links = chain.select("community", "parent_id").join(
        at, on=["community", "parent_id"], how="left", maintain_order="left"
    )
    jump = links["to"]
    for _ in range(max(chain.height, 1).bit_length()):
        jump = jump.gather(jump)
    return jump.len() - jump.null_count()
