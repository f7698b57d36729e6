"""Conversations made whole: parts joined, copies told apart, and roles brought in order, as CHAT.

Nothing is mended that would change what was said to whom: where a message is missing or empty the conversation ends
there, and a reply without the message that it answers is left out. What was done to a conversation stands in `repairs`.
"""

from collections.abc import Mapping
from enum import StrEnum

import polars as pl
import pyarrow as pa

from miners.rules import has_refused_license
from miners.text.pii import mask_pii
from schemas.chat_sections import Turns
from schemas.drops import DropReason
from schemas.identity import below_share, hash64
from schemas.inputs import CONVERSATION
from schemas.mining import CHAT
from schemas.outcome import Outcome
from schemas.recipe import Licenses


class Repair(StrEnum):
    """What was done to bring a conversation in order."""

    OVERLAP = "overlap"  # parts shared messages, which count once
    CUT_AT_EMPTY = "cut_at_empty"  # it ends before a message without text
    CUT_AT_SYSTEM = "cut_at_system"  # it ends before a system message that did not stand first
    CUT_AT_LENGTH = "cut_at_length"  # it ends behind `turns.max_messages`
    NO_SYSTEM = "no_system"  # an empty system message is left out
    LATE_START = "late_start"  # replies before the first message of the user are left out
    JOINED = "joined"  # messages of one role that followed each other are one, a blank line between them


_USER, _ASSISTANT, _SYSTEM = "user", "assistant", "system"
ROLES: Mapping[str, str] = {
    **dict.fromkeys((_USER, "human", "prompter", "customer"), _USER),
    **dict.fromkeys(
        (_ASSISTANT, "gpt", "chatgpt", "bing", "bard", "model", "ai", "bot", "chatbot", "claude"), _ASSISTANT
    ),
    **dict.fromkeys((_SYSTEM, "developer"), _SYSTEM),
}
"""What sources call the roles, in small letters."""

_ID = ("source", "conversation_id")
_FIELDS = tuple(field.name for field in CONVERSATION.field("messages").type.value_type)
_VISIBLE = r"[^\s\x00-\x1f\x7f\u{200B}-\u{200F}\u{2060}\u{FEFF}]"
PIECE = r"#[0-9]+$"
"""End of an id that was made here: several pieces of one conversation that do not join have its id in common."""

_FEWEST = 3  # messages that make a turn: query, reply and follow-up
_KEPT = pl.col("reason").is_null()
_KEYS = pl.col("messages").list.eval(
    hash64(pl.element().struct.field("role"), pl.element().struct.field("content"))
)  # of what each message says
# a message of nobody that says nothing is an empty one; by somebody unknown, or with a text, it is a fault of its chat
_IS_STRANGE = pl.col("role").is_null() & ~(pl.col("empty") & pl.col("unnamed"))


def assemble_chats(rows: pa.Table, *, turns: Turns, sample: float, seed: int, licenses: Licenses) -> Outcome:
    """Make CHAT of all rows (CONVERSATION) of some conversations.

    A row's `part` is the number, from 0, of its first message in the conversation. A part is joined to the one before
    it if it begins where that ends, or repeats its last messages; else the conversation ends, and another begins, whose
    id has `#2` behind it, `#3` and so on; an id that itself ends so has a number in any case (`a#2` becomes `a#2#1`),
    so that no two conversations have one id. Of several copies of one part the newest stays, or the longest of these;
    a part all of which stands inside an earlier one is a copy, too.

    turns: its gates (`toxic`, `redacted`), `max_messages` and `pii` are heeded here; one part that a gate refuses is
        enough to refuse the whole conversation. sample: share of conversations to look at, chosen by hash.

    Rows that went into a chat are `consumed`; the others are dropped with a reason, each part of a conversation with
    the same. Chats come out sorted by `group_id`, whatever the order in which the rows came in.
    """
    frame = pl.DataFrame(rows.select(CONVERSATION.names)).with_columns(reason=pl.lit(None, pl.String))
    frame = _mark_refused(frame, turns, sample, seed, licenses)
    frame = _number_chats(_mark_contained(_mark_copies(frame)))
    messages = _list_messages(frame)
    frame = _mark(frame, DropReason.UNKNOWN_ROLE, _is_among(messages.filter(_IS_STRANGE)))
    ordered, repairs = _order(messages, turns.max_messages)
    frame = _mark_short(frame, ordered)
    alive = frame.filter(_KEPT)
    kept = _make_chats(alive, _mask(ordered.filter(_is_among(alive)), turns), repairs)
    return Outcome(
        kept=kept.select(CHAT.names).to_arrow(compat_level=pl.CompatLevel.newest()).cast(CHAT),
        dropped=_describe_dropped(frame.filter(~_KEPT)),
        rows_in=rows.num_rows,
        consumed=alive.height,
    )


def _mark(frame: pl.DataFrame, reason: DropReason, found: pl.Expr) -> pl.DataFrame:
    """Give a reason to rows that have none, where it is found (null: not)."""
    return frame.with_columns(reason=pl.when(_KEPT & found).then(pl.lit(reason.value)).otherwise("reason"))


def _mark_refused(frame: pl.DataFrame, turns: Turns, sample: float, seed: int, licenses: Licenses) -> pl.DataFrame:
    """Mark what the sample leaves out and the gates refuse, always whole conversations."""
    group_id = pl.concat_str(*_ID, separator="/")
    frame = _mark(frame, DropReason.NOT_SAMPLED, ~below_share(hash64(pl.lit(f"sample {seed}"), group_id), sample))
    gates = {
        DropReason.LICENSE_REFUSED: has_refused_license(frame, licenses.allow) if licenses.allow else None,
        DropReason.TOXIC: _is_flagged("toxic") if turns.toxic else None,
        DropReason.REDACTED: _is_flagged("redacted") if turns.redacted else None,
    }
    for reason, refused in gates.items():
        if refused is not None:
            frame = _mark(frame, reason, refused.fill_null(value=False).any().over(_ID))
    return frame


def _is_flagged(name: str) -> pl.Expr:
    """Whether the source marks a conversation, or one of its messages."""
    inside = pl.col("messages").list.eval(pl.element().struct.field(name)).list.any()
    return pl.col(name).fill_null(value=False) | inside.fill_null(value=False)


def _mark_copies(frame: pl.DataFrame) -> pl.DataFrame:
    """Of several rows that are one part the newest stays, then the longest. Rows come out in the order of parts."""
    frame = frame.sort(*_ID, "part", maintain_order=True).with_row_index("row")
    part = pl.struct(*_ID, "part")
    contents = pl.col("messages").list.eval(pl.element().struct.field("content"))
    text = contents.list.join("\x1f", ignore_nulls=True)
    whole = pl.struct(CONVERSATION.names).struct.json_encode()  # copies may differ in anything
    best = ("created_at", text.str.len_bytes(), pl.col("messages").list.len(), hash64(whole))
    copies = frame.filter(part.is_duplicated()).sort(*best, descending=True, nulls_last=True)
    worse = copies.filter(~part.is_first_distinct())["row"]
    return _mark(frame, DropReason.DUPLICATE_ID, pl.col("row").is_in(worse.implode()))


def _mark_contained(frame: pl.DataFrame) -> pl.DataFrame:
    """Mark parts that end before an earlier one does, and repeat it: they add nothing, and would cut the chat."""
    end = pl.col("part").cast(pl.Int64) + pl.col("messages").list.len()
    parts = frame.filter(_KEPT & pl.struct(_ID).is_duplicated()).with_columns(end=end)
    parts = parts.with_columns(reach=pl.col("end").cum_max().over(_ID))
    longest = pl.when(pl.col("end") == pl.col("reach")).then("row").forward_fill().over(_ID)
    inner = parts.with_columns(outer=longest).filter(pl.col("end") < pl.col("reach"))
    inner = inner.select("row", "outer", "part", said=_KEYS)
    outer = parts.filter(pl.col("row").is_in(inner["outer"].implode())).select(outer="row", start="part", told=_KEYS)
    found = inner.join(outer, on="outer", how="left")
    there = pl.col("told").list.slice(pl.col("part") - pl.col("start"), pl.col("said").list.len())
    copies = found.filter(there == pl.col("said"))["row"]
    return _mark(frame, DropReason.DUPLICATE_ID, pl.col("row").is_in(copies.implode()))


def _number_chats(frame: pl.DataFrame) -> pl.DataFrame:
    """Find out which parts are one `chat`, name it, and count the messages that each part repeats (`overlap`).

    Rows that are dropped already get no number.
    """
    parts = frame.filter(_KEPT)
    is_next = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in _ID).fill_null(value=False)
    parts = parts.with_columns(is_next=is_next)
    # most conversations have one part: only those of several are compared
    several = parts.filter(pl.col("is_next") | pl.col("is_next").shift(-1, fill_value=False))
    numbered = parts.join(_find_joins(several), on="row", how="left", maintain_order="left")
    numbered = numbered.with_columns(chat=pl.col("overlap").is_null().cum_sum().cast(pl.Int64))
    run = pl.col("chat") - pl.col("chat").min().over(_ID) + 1
    is_numbered = (run > 1) | pl.col("conversation_id").str.contains(PIECE)
    name = pl.when(is_numbered).then(pl.format("{}#{}", "conversation_id", run)).otherwise("conversation_id")
    numbered = numbered.select("row", "chat", chat_id=name, overlap=pl.col("overlap").fill_null(0))
    return frame.join(numbered, on="row", how="left", maintain_order="left")


def _find_joins(parts: pl.DataFrame) -> pl.DataFrame:
    """Find parts that go on where the one before them ends: `row`, and how many messages they repeat (`overlap`)."""
    keys = parts.select(
        "row",
        "is_next",
        keys=_KEYS,
        shared=(pl.col("part").cast(pl.Int64) + pl.col("messages").list.len()).shift() - pl.col("part"),
    )
    here, before, shared = pl.col("keys"), pl.col("keys").shift(), pl.col("shared")
    fits = shared.is_between(0, pl.min_horizontal(before.list.len(), here.list.len()))
    same = before.list.tail(shared.clip(0)) == here.list.head(shared.clip(0))
    return keys.filter((pl.col("is_next") & fits & same).fill_null(value=False)).select("row", overlap="shared")


def _list_messages(frame: pl.DataFrame) -> pl.DataFrame:
    """List the messages of the chats in order: `chat` and the fields; `role` as we call it, null where unknown.

    empty: nothing can be read in it. unnamed: the source names no role. overlap: of the part that it begins.
    """
    rest = pl.col("messages").list.slice(pl.col("overlap"))
    parts = frame.filter(_KEPT).select("chat", "overlap", messages=rest).filter(pl.col("messages").list.len() > 0)
    messages = parts.explode("messages").unnest("messages")
    role = (
        pl.col("role").str.strip_chars().str.to_lowercase().replace_strict(ROLES, default=None, return_dtype=pl.String)
    )
    return messages.with_columns(
        role=role,
        empty=~pl.col("content").str.contains(_VISIBLE).fill_null(value=False),
        unnamed=pl.col("role").is_null(),
    )


def _order(messages: pl.DataFrame, most: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bring messages in order; answers those that stay, and the repairs that were made: `chat`, `repair`."""
    role, empty = pl.col("role"), pl.col("empty")
    made = [_note(messages.filter(pl.col("overlap") > 0), Repair.OVERLAP)]
    steps = (
        (Repair.NO_SYSTEM, (role == _SYSTEM) & empty, False),
        (Repair.LATE_START, (role == _ASSISTANT) & ~_seen(role == _USER), False),
        (Repair.CUT_AT_EMPTY, empty, True),
        (Repair.CUT_AT_SYSTEM, (role == _SYSTEM) & _seen(role != _SYSTEM), True),
    )
    for repair, wrong, ends in steps:
        messages, gone = _leave_out(messages, wrong, ends=ends)
        made.append(_note(gone, repair))
    messages, joined = _join_neighbours(messages)
    made.append(_note(joined, Repair.JOINED))
    messages, gone = _leave_out(messages, pl.col("chat") == pl.col("chat").shift(most), ends=False)
    made.append(_note(gone, Repair.CUT_AT_LENGTH))
    return messages, pl.concat(made)


def _note(messages: pl.DataFrame, repair: Repair) -> pl.DataFrame:
    return messages.select("chat", repair=pl.lit(repair.value)).unique()


def _seen(found: pl.Expr) -> pl.Expr:
    """Whether it was found in the chat, up to this message: whether the chat in which it was found last is this one."""
    return pl.when(found).then("chat").forward_fill().eq_missing(pl.col("chat"))


def _leave_out(messages: pl.DataFrame, wrong: pl.Expr, *, ends: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Leave out what is wrong (null: is not), and all behind it if the conversation ends there."""
    found = messages.select(wrong=wrong).to_series().fill_null(value=False)
    if not found.any():
        return messages, messages.clear()
    goes = messages.with_columns(found).select(_seen(pl.col("wrong"))).to_series() if ends else found
    return messages.filter(~goes), messages.filter(goes)


def _join_neighbours(messages: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make one message of those of one role that follow each other; answers also those that were several."""
    is_next = (pl.col("role") == pl.col("role").shift()) & (pl.col("chat") == pl.col("chat").shift())
    same = messages.select(same=is_next.fill_null(value=False)).to_series()
    if not same.any():
        return messages, messages.clear()
    several = same | same.shift(-1, fill_value=False)
    blocks = messages.with_columns(block=(~same).cum_sum())
    first = [name for name in messages.columns if name not in {"content", "toxic", "redacted"}]
    joined = (
        blocks.filter(several)
        .group_by("block", maintain_order=True)
        .agg(pl.col(first).first(), pl.col("content").str.join("\n\n"), pl.col("toxic", "redacted").max())
    )
    alone = blocks.filter(~several)
    whole = pl.concat([alone, joined.select(alone.columns)]).sort("block")
    return whole.drop("block"), messages.filter(several)


def _is_among(named: pl.DataFrame) -> pl.Expr:
    """Whether a row is of one of these chats."""
    return pl.col("chat").is_in(named["chat"].unique().implode())


def _mark_short(frame: pl.DataFrame, messages: pl.DataFrame) -> pl.DataFrame:
    """Mark the chats of which too little is left."""
    counts = messages.group_by("chat").agg(
        users=(pl.col("role") == _USER).sum(),
        replies=(pl.col("role") == _ASSISTANT).sum(),
    )
    counted = frame.join(counts, on="chat", how="left", maintain_order="left")
    users, replies = pl.col("users").fill_null(0), pl.col("replies").fill_null(0)
    counted = _mark(counted, DropReason.BROKEN_TURN, pl.min_horizontal(users, replies) == 0)
    return _mark(counted, DropReason.NO_FOLLOW_UP, users + replies < _FEWEST).drop(counts.columns[1:])


def _mask(messages: pl.DataFrame, turns: Turns) -> pl.DataFrame:
    """Put placeholders for personal data where that is asked for, and count them (`pii`)."""
    if turns.pii == "keep":
        return messages.with_columns(pii=pl.lit(0, pl.Int32))
    masked, found = mask_pii(messages["content"])
    return messages.with_columns(masked.alias("content"), found.sum_horizontal().alias("pii"))


def _make_chats(parts: pl.DataFrame, messages: pl.DataFrame, repairs: pl.DataFrame) -> pl.DataFrame:
    """Put the chats together: what their parts say of them, their messages, and what was done."""
    named = parts.select("chat", "license").drop_nulls().unique().sort("chat", "license")
    licenses = named.group_by("chat", maintain_order=True).agg(pl.col("license").str.join(" AND "))
    told = parts.group_by("chat").agg(
        pl.col("source").first(),
        pl.col("chat_id").first().alias("conversation_id"),
        pl.col("user", "model", "language", "country").drop_nulls().first(),
        pl.col("created_at").min(),
        pl.col("toxic", "redacted").max(),
    )
    said = messages.group_by("chat", maintain_order=True).agg(
        pl.struct(_FIELDS).alias("messages"), pl.col("pii").sum().cast(pl.Int32)
    )
    done = repairs.group_by("chat", maintain_order=True).agg(repairs=pl.col("repair"))
    whole = told.join(said, on="chat").join(done, on="chat", how="left").join(licenses, on="chat", how="left")
    none = pl.lit([], pl.List(pl.String))
    return whole.with_columns(group_id=pl.concat_str(*_ID, separator="/"), repairs=pl.coalesce("repairs", none)).sort(
        "group_id"
    )


def _describe_dropped(rows: pl.DataFrame) -> pa.Table:
    ref = pl.concat_str(*_ID, separator="/")
    return rows.with_columns(ref=ref).select("reason", "ref", *CONVERSATION.names).to_arrow()
