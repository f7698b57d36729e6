"""Projections of feedback: for ordinal and for binary reward models, and for the trainer of WildReward.

No row is left out. A label that a row does not have is null: of neutral turns (a recipe drops them unless it says
`feedback.neutral: keep`), and in `ordinal` and `wildreward` of views whose labels have no order.
"""

import polars as pl
import pyarrow as pa

from schemas.inputs import MESSAGE
from schemas.signals import MESSAGES

POSITIVE = ("positive_engagement", "satisfaction", "SAT", "UR5")
NEUTRAL = ("neutral", "NEITHER", "none")
"""Categories, of whatever view, that praise the response, and that say nothing of it; the others find fault with it."""

_STRING = pa.string()
_LEVELS = 4  # of the order

ORDINAL = pa.schema(
    [
        pa.field("prompt", MESSAGES, nullable=False),
        pa.field("response", _STRING, nullable=False),
        pa.field("text", _STRING, nullable=False),  # prompt and response as one text
        pa.field("label", pa.int8()),  # 1-4
        pa.field("label_probs", pa.list_(pa.float32())),  # of the rubric's labels, neutral included
        pa.field("ordinal_targets", pa.list_(pa.float32())),  # whether the label is above 1, 2 and 3
        pa.field("weight", pa.float32(), nullable=False),
        pa.field("judge_model", _STRING, nullable=False),
        pa.field("rubric", _STRING, nullable=False),
        pa.field("conversation_id", _STRING, nullable=False),
        pa.field("turn", pa.int32(), nullable=False),
        pa.field("language", _STRING),
    ]
)
"""For ordinal regression: three thresholds and binary cross-entropy on `ordinal_targets` (CORAL, arXiv 1901.07884)."""

WILDREWARD = pa.schema(
    [
        pa.field("id", _STRING, nullable=False),
        pa.field("history", MESSAGES, nullable=False),  # what stood before the query
        pa.field("text", _STRING, nullable=False),
        pa.field("messages", MESSAGES, nullable=False),  # query and response
        pa.field("user_feedback", MESSAGE, nullable=False),
        pa.field("label", pa.int64()),  # 1-4
    ]
)
"""Records as WildReward (arXiv 2602.08829) publishes them; its trainer reads `text` and `label`."""

KTO = pa.schema(
    [
        pa.field("prompt", MESSAGES, nullable=False),
        pa.field("completion", MESSAGES, nullable=False),
        pa.field("label", pa.bool_()),  # whether the user was pleased
    ]
)
"""TRL's unpaired preference, conversational: KTOTrainer, BCOTrainer."""

_CHAR_BYTES = 4  # at most, in UTF-8
_TEXT_BYTES = 12_000
"""Of a text that is cut so that the response stands before the 4,096th token, where WildReward's trainer cuts: in
English four bytes are about a token, in Chinese three."""
_GAP = "\n[{} characters left out]\n"


def project_ordinal(rows: pa.Table, _window: int | None = None) -> pa.Table:
    """Give each response with its level from 1 (rejected) to 4 (pleased), and the targets of three thresholds."""
    names = ["label_probs", "weight", "judge_model", "rubric", "turn", "language"]
    frame = _read(rows, [*names, "group_id", "ordinal"])
    level = pl.col("ordinal")
    targets = pl.concat_list((level > threshold).cast(pl.Float32) for threshold in range(1, _LEVELS))
    made = frame.select(
        *names,
        pl.col("prompt", "response"),
        text=write_text(),
        label=level,
        ordinal_targets=pl.when(level.is_not_null()).then(targets),
        conversation_id="group_id",
    )
    return made.select(ORDINAL.names).to_arrow().cast(ORDINAL)


def project_wildreward(rows: pa.Table, _window: int | None = None) -> pa.Table:
    """Give the records that WildReward's trainer reads."""
    frame = _read(rows, ["uid", "feedback", "ordinal"])
    query = pl.col("prompt").list.tail(1)
    made = frame.select(
        id="uid",
        history=pl.col("prompt").list.head(pl.col("prompt").list.len() - 1),
        text=write_text(),
        messages=pl.concat_list(query, _say("assistant", "response")),
        user_feedback=_say("user", "feedback"),
        label=pl.col("ordinal").cast(pl.Int64),
    )
    return made.to_arrow().cast(WILDREWARD)


def project_kto(rows: pa.Table, _window: int | None = None) -> pa.Table:
    """Give each response with whether the user was pleased with it."""
    frame = _read(rows, ["category"])
    category = pl.col("category")
    made = frame.select(
        "prompt",
        completion=pl.concat_list(_say("assistant", "response")),
        label=pl.when(~category.is_in(NEUTRAL)).then(category.is_in(POSITIVE)),
    )
    return made.to_arrow().cast(KTO)


def write_text() -> pl.Expr:
    """Write `prompt` and `response` as one text for a model without a chat template; the response stands last, whole.

    Of `_TEXT_BYTES` the query has what the response leaves, or loses its middle, with a word that says so; the history
    has what both leave, or loses its beginning. A response that is longer than that stands with a text that is, too.
    """
    history = pl.col("prompt").list.head(pl.col("prompt").list.len() - 1)
    line = pl.format("[{}]\n{}", pl.element().struct.field("role"), pl.element().struct.field("content"))
    told = history.list.eval(line).list.join("\n\n")
    query = pl.col("prompt").list.last().struct.field("content")
    room = _TEXT_BYTES - _count_bytes(pl.col("response"))
    shown = _keep_end(told, room - _count_bytes(query))
    shown = pl.when(shown != "").then(shown)  # a first query has no history
    parts = (("History", shown), ("Query", _keep_ends(query, room.clip(0))), ("Response", pl.col("response")))
    sections = [pl.format(f"# {name}\n{{}}", text) for name, text in parts]
    return pl.concat_str(sections, separator="\n\n", ignore_nulls=True)


def _keep_ends(text: pl.Expr, most: pl.Expr) -> pl.Expr:
    """Leave the middle out of texts of more bytes than `most`: half as many stay at either end, what asks at both."""
    end = _keep_end(text, most // 2)
    behind = _keep_end(text, _count_bytes(text) - most // 2 + _CHAR_BYTES - 1)
    beginning = text.cast(pl.Binary).bin.head(_count_bytes(text) - _count_bytes(behind)).cast(pl.String)
    gone = text.str.len_chars() - beginning.str.len_chars() - end.str.len_chars()
    cut = pl.concat_str(beginning, pl.format(_GAP, gone), end)
    return pl.when(_count_bytes(text) > most).then(cut).otherwise(text)


def _keep_end(text: pl.Expr, most: pl.Expr) -> pl.Expr:
    """Keep the last bytes of a text, at most so many and up to 3 fewer, so that no character is torn.

    How many is found first: a cast to text looks at values that are masked, too, and a torn one there is an error.
    """
    raw = text.cast(pl.Binary)
    sizes = [(most - less).clip(0) for less in range(_CHAR_BYTES)]
    size = pl.coalesce(pl.when(~_begins_torn(raw.bin.tail(size))).then(size) for size in sizes)
    return raw.bin.tail(size).cast(pl.String)


def _begins_torn(text: pl.Expr) -> pl.Expr:
    """Whether bytes of UTF-8 begin inside a character: with one of 0b10......; binaries compare byte by byte."""
    return (text >= pl.lit(b"\x80")) & (text < pl.lit(b"\xc0"))


def _count_bytes(text: pl.Expr) -> pl.Expr:
    return text.str.len_bytes().cast(pl.Int64)


def _read(rows: pa.Table, names: list[str]) -> pl.DataFrame:
    return pl.DataFrame(rows.select(["prompt", "response", *names]))


def _say(role: str, column: str) -> pl.Expr:
    return pl.struct(role=pl.lit(role), content=pl.col(column))
