"""Sources with one fault each, made of `sound`, `plain` and `talk`, which `revealed source new --package` writes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from revealed_plain import SOURCE as PLAIN
from revealed_sound import SOURCE as SOUND
from revealed_talk import SOURCE as TALK

from miners.source import Reading, Slice, Source
from schemas.inputs import CONVERSATION
from schemas.outcome import Outcome

Change = Callable[[pa.Table], pa.Table]


def spoil(name: str, change: Change, sound: Source = SOUND) -> Source:
    """Change what a sound source keeps."""

    def read(part: Slice, reading: Reading) -> Iterator[Outcome]:
        for outcome in sound.read(part, reading):
            yield replace(outcome, kept=change(named(outcome.kept, name)))

    return replace(sound, name=name, read=read)


def put(table: pa.Table, column: str, values: pa.ChunkedArray | pa.Array) -> pa.Table:
    place = table.schema.get_field_index(column)
    field = table.schema.field(column).with_type(values.type)
    return table.set_column(place, field, values)


def named(table: pa.Table, name: str) -> pa.Table:
    return put(table, "source", pa.array([name] * table.num_rows, pa.string()))


_numbers = count()
_MESSAGES = CONVERSATION.field("messages").type


def _as_text(column: str) -> Change:
    return lambda table: put(table, column, pc.cast(table[column], pa.string()))


def _number_anew(column: str) -> Change:
    return lambda table: put(table, column, pa.array([str(next(_numbers)) for _ in range(table.num_rows)]))


def _empty(table: pa.Table) -> pa.Table:
    return put(table, "text", pa.array([" "] * table.num_rows))


def _forget_license(table: pa.Table) -> pa.Table:
    return put(table, "license", pa.nulls(table.num_rows, pa.string()))


def _name_users(table: pa.Table) -> pa.Table:
    return put(table, "user", pc.binary_join_element_wise("198.51.100.7", table["conversation_id"], ":"))


def _rename_roles(table: pa.Table) -> pa.Table:
    messages = pl.Series(table["messages"]).list.eval(
        pl.element().struct.with_fields(role=pl.field("role").replace("assistant", "Dr. Watson"))
    )
    return put(table, "messages", messages.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(_MESSAGES))


def _all_at_once(part: Slice, reading: Reading) -> Iterator[Outcome]:
    outcomes = list(SOUND.read(part, reading))
    if not outcomes:
        return
    kept = named(pa.concat_tables([outcome.kept for outcome in outcomes]), "all_at_once")
    dropped = pa.concat_tables([outcome.dropped for outcome in outcomes])
    yield Outcome(kept, dropped, kept.num_rows + dropped.num_rows)


def _held_back(part: Slice, reading: Reading) -> Iterator[Outcome]:
    outcomes = [replace(outcome, kept=named(outcome.kept, "held_back")) for outcome in SOUND.read(part, reading)]
    yield from outcomes


WRONG_TYPES = spoil("wrong_types", _as_text("created_at"))
UNSTABLE_IDS = spoil("unstable_ids", _number_anew("post_id"))
SCORE_AS_TEXT = spoil("score_as_text", _as_text("score"))
NO_LICENSE = spoil("no_license", _forget_license)
ALL_AT_ONCE = replace(SOUND, name="all_at_once", read=_all_at_once)
HELD_BACK = replace(SOUND, name="held_back", read=_held_back)
UNSTABLE_DOCUMENTS = spoil("unstable_documents", _number_anew("doc_id"), PLAIN)
UNLICENSED_DOCUMENTS = spoil("unlicensed_documents", _forget_license, PLAIN)
NO_TEXT = spoil("no_text", _empty, PLAIN)
UNSTABLE_CHATS = spoil("unstable_chats", _number_anew("conversation_id"), TALK)
NAMED_USERS = spoil("named_users", _name_users, TALK)
STRANGE_ROLES = spoil("strange_roles", _rename_roles, TALK)
