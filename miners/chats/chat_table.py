"""Any table of chats, by naming its columns: Parquet, JSON Lines, one JSON array, or the Hub.

    inputs:
      - source: chat_table
        path: chats.parquet
        options:
          columns: {conversation: chat_id, messages: turns, role: speaker, content: text}   # a list in each row, or
          columns: {conversation: chat_id, order: nr, role: speaker, content: text}         # one message a row

Of one message a row, `order` numbers the messages of a conversation one by one; where a number is missing the
conversation ends, and another begins.
"""

from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, model_validator

from miners.columns import Column, flag, number
from miners.conversations import Columns, Form, list_messages, make_message, pick, read_time, texts
from miners.dialogues import write_dialogues
from miners.documents import blank_to_null
from miners.source import Reading
from schemas.identity import hash_author
from schemas.licenses import UNKNOWN


class Names(BaseModel):
    """Which columns are what; the defaults are those of the sample."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    conversation: str = "conversation"
    """Column that names the conversation."""
    messages: str | None = None
    """Column that lists the messages. Without it every row is one message."""
    order: str | None = None
    """Column with the number of a message in its conversation, where every row is one."""
    role: str = "role"
    """Of a message: its column, or its field in the list."""
    content: str = "content"
    user: str | None = None
    model: str | None = None
    created_at: str | None = None
    """ISO 8601, or a number of seconds to nanoseconds after 1970."""
    language: str | None = None
    country: str | None = None
    toxic: str | None = None
    redacted: str | None = None
    license: str | None = None

    @model_validator(mode="after")
    def _is_one_form(self) -> "Names":
        if (self.messages is None) == (self.order is None):
            raise ValueError("expected `messages` (a list in each row) or `order` (one message a row), and not both")
        return self


class Options(BaseModel):
    """What no row says."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    columns: Names = Names(order="nr")
    license: str = UNKNOWN
    """SPDX id of the licence of rows that name none."""


_PLAIN = ("conversation", "order", "user", "model", "created_at", "language", "country", "toxic", "redacted", "license")


def _fields(options: BaseModel) -> dict[str, pl.DataType]:
    names = cast("Options", options).columns
    plain = [getattr(names, key) for key in _PLAIN]
    if names.messages:
        nested: dict[str, pl.DataType] = {names.messages: pl.List(texts(names.role, names.content))}
    else:
        nested = dict.fromkeys((names.role, names.content), pl.String())
    return {**dict.fromkeys((name for name in plain if name), pl.String()), **nested}


def _columns(reading: Reading) -> Columns:
    options = cast("Options", reading.options)
    names = options.columns
    name = blank_to_null(pl.col(names.conversation).cast(pl.String))
    given = {key: pl.col(getattr(names, key)) for key in ("model", "language", "country") if getattr(names, key)}
    license_ = pl.lit(options.license)
    return {
        **given,
        "conversation_id": Column(pl.format("{}/{}", pl.lit(reading.community), name), name, "text", required=True),
        "license": pl.coalesce(names.license, license_) if names.license else license_,
        **({"user": hash_author(names.user, reading.community, reading.salt)} if names.user else {}),
        **({"created_at": read_time(pl.col(names.created_at))} if names.created_at else {}),
        **{key: flag(getattr(names, key)) for key in ("toxic", "redacted") if getattr(names, key)},
        **_place_messages(names),
    }


def _place_messages(names: Names) -> Columns:
    if names.messages:
        items = pl.col(names.messages)
        return {"messages": list_messages(items, role=pick(names.role), content=pick(names.content))}
    order = number(pl.col(str(names.order)), required=True)
    message = make_message(
        role=pl.col(names.role),
        content=pl.col(names.content),
        **({"created_at": read_time(pl.col(names.created_at)).value} if names.created_at else {}),
        **{key: flag(getattr(names, key)).value for key in ("toxic", "redacted") if getattr(names, key)},
    )
    return {
        "part": Column(order.value.cast(pl.Int32, strict=False), order.raw, "a whole number of 32 bits", required=True),
        "messages": pl.concat_list(message),
    }


_ROW_GROUP = 64

FORM = Form(
    name="chat_table",
    looks="a table that has the columns which `options.columns` names",
    fields=_fields,
    needed=lambda options: tuple(_fields(options)),
    columns=_columns,
)


def sample(folder: Path, conversations: int) -> Path:
    """Write so many conversations as Parquet, one message a row."""
    rows = [
        {"conversation": f"c{dialogue.number}", "nr": nr, "role": message.role, "content": message.text}
        for dialogue in write_dialogues(conversations)
        for nr, message in enumerate(dialogue.messages)
    ]
    path = folder / "chats.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=_ROW_GROUP)
    return path


SOURCE = FORM.source(
    "any table of chats, by naming its columns: Parquet, JSON Lines, JSON, or the Hub", sample, Options
)
