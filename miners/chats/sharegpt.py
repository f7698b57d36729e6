"""ShareGPT: shared chats as JSON Lines or as one JSON array of {"id", "conversations": [{"from", "value"}]}.

Long chats come in several rows: `abc_7` is the part of the chat `abc` that begins with its message 7 (counted from 0),
as FastChat's `split_long_conversation` names them. A part may begin with the message that ended the one before it.
"""

from pathlib import Path
from typing import cast

import orjson
import polars as pl
from pydantic import BaseModel, ConfigDict

from miners.columns import Column, text
from miners.conversations import Columns, Form, list_messages, pick, texts
from miners.dialogues import Dialogue, write_dialogues
from miners.documents import blank_to_null
from miners.source import Reading
from schemas.licenses import UNKNOWN

_PART = r"^(.+)_([0-9]{1,9})$"
_FIELDS = {
    "id": pl.String(),
    "model": pl.String(),
    "conversations": pl.List(texts("from", "value")),
}


class Options(BaseModel):
    """What no row says."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    license: str = UNKNOWN
    """SPDX id of the licence under which you hold the chats; the users who shared them named none."""
    parts: bool = True
    """Whether the number at the end of an id says where the part begins; false: every row is a chat by itself."""


def _columns(reading: Reading) -> Columns:
    options = cast("Options", reading.options)
    name = blank_to_null(pl.col("id"))
    base, start = name.str.extract(_PART, 1), name.str.extract(_PART, 2).cast(pl.Int32)
    columns: Columns = {
        "conversation_id": text(name, required=True),
        "model": pl.col("model"),
        "license": pl.lit(options.license),
        "messages": list_messages(pl.col("conversations"), role=pick("from"), content=pick("value")),
    }
    if not options.parts:
        return columns
    split = Column(pl.coalesce(base, name), name, "text", required=True)
    return {**columns, "conversation_id": split, "part": start.fill_null(0)}


FORM = Form(
    name="sharegpt",
    looks='rows like {"id": "abc_0", "conversations": [{"from": "human", "value": ".."}, ..]}',
    fields=lambda _: _FIELDS,
    needed=lambda _: ("id", "conversations"),
    columns=_columns,
)

_PART_MESSAGES = 6  # of sampled chats; the next part begins with the last of them, as in the published files


def sample(folder: Path, conversations: int) -> Path:
    """Write so many chats as JSON Lines, the long ones in parts."""
    rows = [row for dialogue in write_dialogues(conversations) for row in _publish(dialogue)]
    path = folder / "sharegpt.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
    return path


def _publish(dialogue: Dialogue) -> list[dict[str, object]]:
    speakers = {"user": "human", "assistant": "gpt", "system": "system"}
    said = [{"from": speakers[message.role], "value": message.text} for message in dialogue.messages]
    step = _PART_MESSAGES - 1
    starts = range(0, max(len(said) - 1, 1), step)
    return [{"id": f"{dialogue.key[:16]}_{start}", "conversations": said[start : start + step + 1]} for start in starts]


SOURCE = FORM.source("ShareGPT: JSON Lines or one JSON array; parts of long chats are joined", sample, Options)
