"""Stages of the forums route up to its pairs."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from flows.stages.corpus import GROUP
from flows.work import Inputs
from miners.forums.mining.filters import filter_posts
from miners.forums.mining.pairs import mine_pairs
from miners.forums.mining.threads import SHOWN, assemble_threads
from schemas.identity import hash64
from schemas.inputs import Kind
from schemas.outcome import Outcome
from schemas.recipe import Filters, Licenses, check

Given = Mapping[str, Any]


def make_threads(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Assemble the threads of one bucket."""
    yield assemble_threads(inputs.table("posts"), sample=given["sample"], seed=given["seed"], replies=given["replies"])


def filter_threads(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Let the recipe's filters and its licence gate see the posts of one bucket."""
    yield filter_posts(
        inputs.table("threads"),
        check(Filters, given["filters"], "filters"),
        check(Licenses, given["licenses"], "licenses"),
        salt=given["salt"],
        model=given.get("model"),
    )


def make_pairs(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Mine the pairs of one bucket of threads."""
    yield mine_pairs(inputs.table("threads"), max_per_thread=given["max_per_thread"], seed=given["seed"])


def list_groups(inputs: Inputs, given: Given) -> pa.Table:
    """Describe the threads of one bucket to dedupe: the question's text stands for the thread."""
    columns = ["group_id", "kind", "title", "body", "created_at", "edited_at", "reply_score", "license"]
    posts = pl.DataFrame(inputs.table("groups", columns)).filter(pl.col("kind") != Kind.COMMENT)
    question = pl.col("kind") == Kind.QUESTION
    groups = posts.group_by("group_id").agg(
        created_at=pl.col("created_at").filter(question).first(),
        snapshot_at=pl.max_horizontal("created_at", "edited_at").max(),
        score=pl.col("reply_score").sum(),
        license=pl.col("license").filter(question).first(),
        text=SHOWN.filter(question).first().str.normalize("NFC"),  # composed or not, a letter is a letter
    )
    entry = pl.lit(given["entry"])
    named = groups.with_columns(ref=hash64(entry, "group_id"), group_key=hash64("group_id"), entry=entry)
    return named.select(GROUP.names).sort("group_id").to_arrow().cast(GROUP)
