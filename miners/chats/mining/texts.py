"""Texts of turns: a TURN holds none, they stand in the CHAT of the same partition, and are joined where they are read.

Messages are laid out one after another, once; a text is then a view of its message, and no message is copied.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from miners.text.characters import Integers, lay_out
from schemas.errors import PartitionError
from schemas.signals import MESSAGES

_AT_ONCE = 1 << 28  # bytes of prompts in one chunk: far below the 2 GiB that an Arrow string array can hold


class Messages:
    """The messages of chats (CHAT), one after another.

    frame: `turn_id, role, content, created_at, toxic, redacted` of each. begins: where each chat's first one stands;
    the last entry is their number.
    """

    def __init__(self, chats: pa.Table) -> None:
        listed = pl.Series(pl.from_arrow(chats["messages"]))
        lengths: Integers = listed.list.len().fill_null(0).cast(pl.Int64).to_numpy()
        self.frame = listed.explode(empty_as_null=False, keep_nulls=False).struct.unnest()
        self.begins: Integers = lay_out(lengths)
        self.chat: Integers = np.repeat(np.arange(len(lengths)), lengths)  # whose each message is

    @cached_property
    def chars_before(self) -> Integers:
        """Characters of all messages before each one, those of earlier chats included."""
        return lay_out(self.frame["content"].str.len_chars().cast(pl.Int64).to_numpy())


class TurnTexts:
    """Turns (TURN) among the messages of their chats.

    messages: those of all chats. chat: row of each turn's chat. first: place of its chat's first message among all
    messages. reply: place of its reply; the query is the message before, the follow-up the one behind.
    Raises PartitionError where a chat is not there, or there twice, or shorter than a turn says.
    """

    def __init__(self, chats: pa.Table, turns: pa.Table) -> None:
        names = chats["group_id"].combine_chunks()
        if pc.count_distinct(names).as_py() < len(names):
            twice = pl.Series(names)
            raise PartitionError(f"two conversations of a partition are `{twice.filter(twice.is_duplicated())[0]}`")
        found = pc.index_in(turns["group_id"], value_set=names)
        if found.null_count:
            lost = turns["group_id"].filter(pc.is_null(found))[0].as_py()
            raise PartitionError(f"turns of `{lost}` stand in a partition without that conversation")
        self.messages = Messages(chats)
        self.chat: Integers = found.to_numpy().astype(np.int64)
        self.first: Integers = self.messages.begins[self.chat]
        self.reply: Integers = self.first + turns["reply_at"].to_numpy().astype(np.int64)
        outside = (self.reply <= self.first) | (self.reply + 1 >= self.messages.begins[self.chat + 1])
        if outside.any():
            lost = turns["uid"][int(outside.argmax())].as_py()
            raise PartitionError(f"turn {lost} has no query or no follow-up in its conversation")

    def read(self, offset: int, rows: Integers | None = None) -> pl.Series:
        """Give a message of each turn (or of those rows): the query (offset -1), the reply (0) or the follow-up (1)."""
        reply = self.reply if rows is None else self.reply[rows]
        return self.messages.frame["content"].gather(reply + offset)

    def count_prompts(self) -> Integers:
        """Count the characters of all that stands before each reply."""
        before = self.messages.chars_before
        counted: Integers = before[self.reply] - before[self.first]
        return counted

    def write_prompts(self) -> pa.ChunkedArray:
        """Give all that stands before each reply, as MESSAGES; it ends with the query."""
        return pa.chunked_array(self.write_chunks(), type=MESSAGES)

    def write_chunks(self) -> Iterator[pa.Array]:
        """Give the same as one array of about 256 MiB after the other, made as it is asked for."""
        sizes = lay_out(self.messages.frame["content"].str.len_bytes().cast(pl.Int64).to_numpy())
        ends = np.cumsum(sizes[self.reply] - sizes[self.first])
        starts = np.flatnonzero(np.diff(ends // _AT_ONCE, prepend=-1))  # a chunk begins where a border is crossed
        for begin, end in pairwise([*starts, len(ends)]):
            yield self._write(self.first[begin:end], self.reply[begin:end])

    def _write(self, first: Integers, reply: Integers) -> pa.Array:
        offsets = lay_out(reply - first)
        taken = np.repeat(first - offsets[:-1], reply - first) + np.arange(offsets[-1])
        said = self.messages.frame.select("role", "content")[taken].to_arrow(compat_level=pl.CompatLevel.oldest())
        columns = [said[name].cast(pa.string()).combine_chunks() for name in ("role", "content")]
        messages = pa.StructArray.from_arrays(columns, fields=list(MESSAGES.value_type))
        return pa.ListArray.from_arrays(offsets.astype(np.int32), messages, type=MESSAGES)


def join_texts(chats: pa.Table, turns: pa.Table) -> pl.DataFrame:
    """Give the texts of turns (TURN) whose conversations stand in `chats` (CHAT): `uid, query, reply, feedback`.

    One row a turn, in the order of the turns.
    """
    found = TurnTexts(chats, turns)
    uid = pl.Series("uid", pl.from_arrow(turns["uid"]))
    return pl.DataFrame({"uid": uid, "query": found.read(-1), "reply": found.read(0), "feedback": found.read(1)})


def join_prompts(chats: pa.Table, turns: pa.Table) -> pa.ChunkedArray:
    """Give all that stands before the reply of each turn, as MESSAGES: the history, and the query as the last."""
    return TurnTexts(chats, turns).write_prompts()
