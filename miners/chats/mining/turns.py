"""Turns: replies that a user's message follows. What the user says next is what is known of the reply."""

import numpy as np
import polars as pl
import pyarrow as pa

from miners.chats.mining.texts import Messages
from miners.text.characters import Integers
from schemas.drops import DropReason
from schemas.identity import digest, hash64
from schemas.mining import TURN
from schemas.outcome import Outcome

_OF_CHAT = ["group_id", "user"]
_LANGUAGES = ("language", "reply_language", "feedback_language")


def find_turns(chats: pa.Table) -> Outcome:
    """Find the turns (TURN) of conversations (CHAT): one for each reply with a query before and a follow-up behind it.

    A turn's uid is made of conversation, place and the three texts, so that it is the same in every build until one
    of them changes. (The published script names turns by `conversation_hash`, which two users' conversations may
    share.) Languages are null: filters look at them.

    The outcome balances on conversations; one without a turn is dropped as NO_FOLLOW_UP. Turns stand in the order of
    the conversations, then by place.
    """
    messages = Messages(chats)
    said = _describe(messages.frame)
    role, chat = said["role"], pl.Series(messages.chat)
    asked = (role.shift(1) == "user") & (chat.shift(1) == chat)
    answered = (role.shift(-1) == "user") & (chat.shift(-1) == chat)
    places = np.flatnonzero(((role == "assistant") & asked & answered).fill_null(value=False).to_numpy())
    rows = messages.chat[places]
    of_chat = pl.DataFrame(chats.select(_OF_CHAT))
    turns = of_chat[rows].with_columns(
        turn=pl.Series(_count_replies(role, messages)[places], dtype=pl.Int32),
        reply_at=pl.Series(places - messages.begins[rows], dtype=pl.Int32),
        turn_id=said["turn_id"].gather(places),
        **{name: pl.lit(None, pl.String) for name in _LANGUAGES},
        **_take(said, "chars", places, "_chars"),
        **_take(said, "hash", places, "_hash"),
    )
    named = turns.with_columns(uid=digest("group_id", "turn", "query_hash", "reply_hash", "feedback_hash"))
    barren = np.setdiff1d(np.arange(chats.num_rows), rows)
    reason = pl.lit(DropReason.NO_FOLLOW_UP.value)
    return Outcome(
        kept=named.select(TURN.names).to_arrow().cast(TURN),
        dropped=of_chat[barren].select(reason=reason, ref="group_id").to_arrow(),
        rows_in=chats.num_rows,
        consumed=chats.num_rows - len(barren),
    )


def _describe(messages: pl.DataFrame) -> pl.DataFrame:
    """Count and hash each message, once: a follow-up is the next turn's query."""
    content = pl.col("content")
    return messages.select("role", "turn_id", chars=content.str.len_chars().cast(pl.Int64), hash=hash64("content"))


def _count_replies(role: pl.Series, messages: Messages) -> Integers:
    """Count the replies before each message in its conversation."""
    before = np.concatenate([[0], np.cumsum((role == "assistant").fill_null(value=False).to_numpy())])
    counted: Integers = before[:-1] - before[messages.begins[messages.chat]]
    return counted


def _take(said: pl.DataFrame, column: str, places: Integers, suffix: str) -> dict[str, pl.Series]:
    """Take a column at query, reply and follow-up."""
    return {
        f"{name}{suffix}": said[column].gather(places + offset)
        for name, offset in (("query", -1), ("reply", 0), ("feedback", 1))
    }
