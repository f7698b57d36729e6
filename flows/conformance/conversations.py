"""Checks of conversations: that roles are known, parts meet, and users answer replies."""

from collections.abc import Iterator

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from flows.conformance.comparison import judge_rows
from flows.conformance.findings import Finding, conclude, fault, skip, warn
from flows.conformance.specimen import Specimen
from miners.chats.mining.conversations import ROLES, assemble_chats
from miners.conversations import pick
from schemas.drops import DropReason
from schemas.inputs import CONVERSATION
from schemas.outcome import Outcome
from schemas.recipe import Licenses, Turns

_TOO_SHORT = [str(DropReason.BROKEN_TURN), str(DropReason.NO_FOLLOW_UP)]
_FEW = 3  # unknown roles that are named
_SCHEMA = pl.DataFrame(CONVERSATION.empty_table()).schema


def check_messages(specimen: Specimen) -> list[Finding]:
    """Check that messages have roles and texts, and that a build makes whole conversations of the rows."""
    rows = specimen.rows.select(CONVERSATION.names)
    if rows.schema != _SCHEMA:
        return [skip("see schema")]
    made = assemble_chats(rows.to_arrow(), turns=Turns(), sample=1, seed=0, licenses=Licenses())
    seen = f"{made.kept.num_rows:,} conversations in which a user answers a reply, of {specimen.rows.height:,} rows"
    return conclude([*_find_message_faults(specimen), *_judge_whole(specimen, made)], seen)


def _find_message_faults(specimen: Specimen) -> Iterator[Finding]:
    empty = pl.col("messages").list.len() == 0
    yield from judge_rows(specimen, empty, "a conversation has no message", "its messages in order, in `messages`")
    known = pick("role").str.strip_chars().str.to_lowercase().is_in([*ROLES])
    strange = pl.col("messages").list.eval(pick("role").filter(~known))
    for name in specimen.rows.select(strange.explode()).to_series().drop_nulls().unique(maintain_order=True).head(_FEW):
        expected = f"user, assistant or system, or a word for one of them: {', '.join(ROLES)}"
        yield from judge_rows(specimen, strange.list.contains(name), f"the role `{name}` is unknown", expected)
    early = pl.col("part") < 0
    yield from judge_rows(specimen, early, "`part` is below 0", "the number of the row's first message", tolerant=False)


def _judge_whole(specimen: Specimen, made: Outcome) -> Iterator[Finding]:
    """Judge what a build makes of the rows: a sample is what tests learn from, so most of it must be of use."""
    torn = pl.DataFrame(made.kept.select(["conversation_id"])).join(
        specimen.rows.select("conversation_id").unique(), on="conversation_id", how="anti"
    )
    tell = fault if specimen.own else warn
    if torn.height:
        what = f"{torn.height} times a row of a conversation begins where none before it ends"
        expected = "in `part` the number, from 0, of the row's first message in its conversation"
        yield tell(what, f"column part, conversation_id {torn['conversation_id'][0]}", expected)
    short = int(pc.sum(pc.is_in(made.dropped["reason"], pa.array(_TOO_SHORT))).as_py() or 0)
    if short * 2 > made.rows_in:
        what = f"in {short} of {made.rows_in} rows no user answers a reply"
        yield tell(what, "column messages", "texts in `content`, by user and assistant in turn")
