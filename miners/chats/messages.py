"""Conversations in the field's standard columns: {"messages": [{"role", "content"}]}, as OpenAI and TRL have them.

JSON Lines, one JSON array, Parquet, or the Hub. A content is a text, or a list of parts {"type": "text", "text"}; one
with another part (an image, a file) is no text, and a conversation ends before it. Optional columns: id, user, model,
created_at or timestamp (ISO 8601, or a number of seconds to nanoseconds after 1970), language, license.
"""

from pathlib import Path
from typing import cast

import orjson
import polars as pl
from pydantic import BaseModel, ConfigDict

from miners.conversations import Columns, Form, list_messages, pick, read_time, texts
from miners.dialogues import write_dialogues
from miners.documents import blank_to_null
from miners.source import Reading
from schemas.identity import hash_author
from schemas.licenses import UNKNOWN

_NAMES = ("id", "user", "model", "created_at", "timestamp", "language", "license")
_FIELDS = {**dict.fromkeys(_NAMES, pl.String()), "messages": pl.List(texts("role", "content"))}
_TEXTS = ("text", "input_text", "output_text")
_STRING = r'"(?:[^"\\]|\\.)*"'
_DEPTH = 8  # of what a part holds beside its text
_INSIDE = rf'(?:[^"\[\]{{}}]|{_STRING})'
for _ in range(_DEPTH):
    _INSIDE = rf'(?:[^"\[\]{{}}]|{_STRING}|[\[{{]{_INSIDE}*[\]}}])'
_PART = rf"\{{{_INSIDE}*\}}"
_PARTS = rf"(?s)^\[{_PART}(?:,{_PART})*\]$"  # of what is JSON already
_NESTED = r'"(?:type|text)":[\[{]'  # which cannot be read as a text


class Options(BaseModel):
    """What no row says."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    license: str = UNKNOWN
    """SPDX id of the licence of rows that name none."""


def join_parts(content: pl.Expr) -> pl.Expr:
    """Join the texts of a content that is a list of parts; null where one of them is no text.

    A message that happens to be such a list in JSON, and nothing else, is taken for one.
    """
    written = pl.when(content.str.starts_with("[{")).then(content).str.json_path_match("$")  # null if it is no JSON
    listed = (written.str.contains(_PARTS) & written.str.contains('"type":"')).fill_null(value=False)
    plain = pl.when(listed & ~written.str.contains(_NESTED)).then(written)
    parts = plain.str.json_decode(pl.List(texts("type", "text")))
    readable = parts.list.eval(pick("type").is_in(_TEXTS).fill_null(value=False)).list.all()
    joined = parts.list.eval(pick("text")).list.join("\n\n", ignore_nulls=True)
    return pl.when(readable).then(joined).when(~listed).then(content)


def _columns(reading: Reading) -> Columns:
    license_ = cast("Options", reading.options).license
    return {
        "conversation_id": pl.concat_str(
            pl.lit(reading.community), pl.coalesce(blank_to_null(pl.col("id")), "place"), separator="/"
        ),
        "user": hash_author("user", reading.community, reading.salt),
        "model": pl.col("model"),
        "created_at": read_time(pl.coalesce("created_at", "timestamp")),
        "language": pl.col("language"),
        "license": pl.coalesce("license", pl.lit(license_)),
        "messages": list_messages(pl.col("messages"), role=pick("role"), content=join_parts(pick("content"))),
    }


FORM = Form(
    name="messages",
    looks='rows like {"messages": [{"role": "user", "content": ".."}, ..]}',
    fields=lambda _: _FIELDS,
    needed=lambda _: ("messages",),
    columns=_columns,
)


def sample(folder: Path, conversations: int) -> Path:
    """Write so many conversations as JSON Lines."""
    rows = [
        {
            "id": f"chat-{dialogue.number}",
            "user": dialogue.user,
            "model": dialogue.model,
            "created_at": dialogue.messages[0].at.isoformat(),
            "language": dialogue.language,
            "license": "CC0-1.0",
            "messages": [{"role": message.role, "content": message.text} for message in dialogue.messages],
        }
        for dialogue in write_dialogues(conversations)
    ]
    path = folder / "messages.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
    return path


SOURCE = FORM.source("Conversations as {messages: [{role, content}]}: JSON Lines, JSON or Parquet", sample, Options)
