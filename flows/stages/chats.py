"""Stages of the chats route: conversations, their turns, labels from verdicts, and feedback with split and place."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from flows.stages.corpus import GROUP
from flows.work import Inputs
from miners.chats.mining.conversations import PIECE, assemble_chats
from miners.chats.mining.feedback import UNSPLIT, cap_users, choose_labels, write_feedback
from miners.chats.mining.filters import filter_turns
from miners.chats.mining.hindsight import apply_hindsight
from miners.chats.mining.preferences import find_better
from miners.chats.mining.refusals import apply_refusals
from miners.chats.mining.turns import find_turns
from miners.chats.mining.views import find_view
from schemas.drops import DropReason
from schemas.identity import hash64
from schemas.mining import VERDICT as FAULT
from schemas.outcome import NOTHING_DROPPED, Outcome
from schemas.recipe import Feedback, Hindsight, Licenses, Turns, check
from schemas.signals import FEEDBACK
from warehouse.shuffle import ORDER_COLUMNS, order_rows
from warehouse.splits import assign_split

Given = Mapping[str, Any]

_OPENING_CHARS = 400  # after which no further message is looked at to tell conversations apart


def make_chats(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Assemble the conversations of one bucket, of which all parts and copies are there."""
    yield assemble_chats(
        inputs.table("slices"),
        turns=check(Turns, given["turns"], "turns"),
        sample=given["sample"],
        seed=given["seed"],
        licenses=check(Licenses, given["licenses"], "licenses"),
    )


def list_openings(inputs: Inputs, given: Given) -> pa.Table:
    """Describe the conversations of one bucket to dedupe: the first query and its reply stand for each.

    Where these are short ("hi"), what follows does too: else all who greet alike would be copies of each other.
    """
    chats = pl.DataFrame(inputs.table("groups", ["group_id", "created_at", "license", "messages"]))
    entry = pl.lit(given["entry"])
    content = pl.element().filter(pl.element().struct.field("role") != "system").struct.field("content")
    sizes = pl.element().str.len_chars().cast(pl.Int64)
    begins_early = pl.col("said").list.eval(sizes.cum_sum() - sizes < _OPENING_CHARS)
    opening = pl.col("said").list.head(begins_early.list.sum().clip(lower_bound=2))
    groups = (
        chats.with_columns(said=pl.col("messages").list.eval(content))
        .select(
            "group_id",
            "created_at",
            "license",
            entry=entry,
            snapshot_at="created_at",
            score=pl.lit(None, pl.Int64),  # votes; conversations have none
            text=opening.list.join("\n\n").str.normalize("NFC"),
        )
        .with_columns(ref=hash64(entry, "group_id"), group_key=hash64("group_id"))
    )
    return groups.select(GROUP.names).sort("group_id").to_arrow().cast(GROUP)


def list_turns(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Find the turns of the conversations of one bucket."""
    yield find_turns(inputs.table("chats"))


def fit_turns(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Let the recipe's filters see the turns of the conversations that dedupe kept: only these are worth a question."""
    turns = pl.DataFrame(inputs.table("turns"))
    decisions = pl.DataFrame(inputs.table("decisions", ["group_id", "kept"]))
    gone = turns["group_id"].is_in(decisions.filter(~pl.col("kept"))["group_id"].implode())
    copies = turns.filter(gone).select(reason=pl.lit(DropReason.THREAD_DROPPED.value), ref="uid")
    kept = inputs.table("turns").filter((~gone).to_arrow())
    fit = filter_turns(inputs.table("chats"), kept, check(Turns, given["turns"], "turns"))
    dropped = pa.concat_tables([copies.to_arrow(), fit.dropped], promote_options="permissive")
    yield Outcome(fit.kept, dropped, turns.height)


def label(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Give the turns of one bucket their verdicts, and neutral ones the label of a later turn on the same topic."""
    verdicts = inputs.table("verdicts")
    labelled = apply_hindsight(
        inputs.table("chats"),
        inputs.table("turns"),
        verdicts,
        check(Hindsight, given["hindsight"], "hindsight"),
        find_view(given["view"]),
    )
    yield Outcome(labelled, NOTHING_DROPPED, verdicts.num_rows)


def correct_refusals(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Correct the labels of turns whose reply refused, by what the judge found about them."""
    labelled = inputs.table("labelled")
    corrected = apply_refusals(labelled, inputs.table("verdicts"), find_view(given["view"]))
    yield Outcome(corrected, NOTHING_DROPPED, labelled.num_rows)


def choose(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Choose which labels of one bucket are released, all but for the caps by user."""
    asked = check(Feedback, given["feedback"], "feedback")
    yield choose_labels(inputs.table("labelled"), inputs.table("decisions"), asked, seed=given["seed"])


def cap(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Find the turns beyond the cap of their user, among all turns of the users of one bucket."""
    rows = inputs.table("chosen", ["uid", "user"])
    over = cap_users(rows, given["max_per_user"], seed=given["seed"]).dropped
    faults = pl.DataFrame(over.select(["ref", "reason"])).select(hash64("ref").alias("ref"), "reason").sort("ref")
    yield Outcome(faults.to_arrow().cast(FAULT), NOTHING_DROPPED, rows.num_rows, consumed=rows.num_rows)


def write(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Write the chosen turns of one bucket with their texts, and the later replies that pleased where they did not."""
    chosen = inputs.table("chosen")
    over = pl.DataFrame(inputs.table("capped") if inputs.has("capped") else FAULT.empty_table())
    beyond = pl.DataFrame(chosen.select(["uid"])).select(hash64("uid").is_in(over["ref"].implode())).to_series()
    dropped = pl.DataFrame(chosen.filter(beyond.to_arrow()).select(["uid"])).select(
        reason=pl.lit(DropReason.OVER_USER_CAP.value), ref="uid"
    )
    kept = chosen.filter((~beyond).to_arrow())
    chats, asked = inputs.table("chats"), check(Feedback, given["feedback"], "feedback")
    better = find_better(chats, inputs.table("labelled"), asked, check(Hindsight, given["hindsight"], "hindsight"))
    yield Outcome(UNSPLIT.empty_table(), dropped.to_arrow(), dropped.height)
    for rows in write_feedback(chats, kept, inputs.table("decisions"), find_view(asked.view), better):
        yield Outcome(rows, NOTHING_DROPPED, rows.num_rows)


def place_rows(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Give each row its split, by user where one is known, and its place in the release's order.

    Batch by batch, as they were written: all of them may be more than one array can hold.
    """
    rows = inputs.table("rows")
    for batch in rows.to_batches() or [pa.RecordBatch.from_pylist([], schema=rows.schema)]:
        yield _place_batch(pa.Table.from_batches([batch]), given)


def _place_batch(rows: pa.Table, given: Given) -> Outcome:
    whole = pl.col("cluster_id").str.replace(PIECE, "")  # pieces of one conversation stay together
    split = assign_split(given["splits"], given["seed"], by=pl.coalesce("user", whole))
    placed = order_rows(
        pl.DataFrame(rows).with_columns(split=split), list(given["splits"]), given["places"], given["seed"]
    )
    extra = [field for field in rows.schema if field.name not in FEEDBACK.names]
    schema = pa.schema([*FEEDBACK, *extra, *ORDER_COLUMNS])
    return Outcome(placed.select(schema.names).to_arrow().cast(schema), NOTHING_DROPPED, rows.num_rows)
