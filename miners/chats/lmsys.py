"""LMSYS-Chat-1M (lmsys/lmsys-chat-1m): chats of the Arena's visitors with 25 models, as Parquet or from the Hub.

It names no users and no times. Its licence is an agreement of its own, which forbids to pass the conversations on.
"""

from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from miners.columns import text
from miners.conversations import Columns, Form, list_messages, pick, texts
from miners.dialogues import Dialogue, write_dialogues
from miners.documents import blank_to_null
from miners.lessons import write_table
from miners.source import Reading


class Options(BaseModel):
    """What no row says."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    license: str = "LicenseRef-LMSYS-Chat-1M"
    """SPDX id of the licence."""


_FIELDS = {
    "conversation_id": pl.String(),
    "model": pl.String(),
    "conversation": pl.List(texts("content", "role")),
    "language": pl.String(),
    "openai_moderation": pl.List(pl.Struct({"flagged": pl.Boolean()})),
    "redacted": pl.Boolean(),
}


def _columns(reading: Reading) -> Columns:
    name = blank_to_null(pl.col("conversation_id"))
    flagged = pl.element().struct.field("flagged")
    return {
        "conversation_id": text(name, required=True),
        "model": pl.col("model"),
        "language": pl.col("language"),
        "toxic": pl.col("openai_moderation").list.eval(flagged).list.any(),
        "redacted": pl.col("redacted"),
        "license": pl.lit(cast("Options", reading.options).license),
        "messages": list_messages(pl.col("conversation"), role=pick("role"), content=pick("content")),
    }


FORM = Form(
    name="lmsys",
    looks="a row with conversation_id, model and conversation, a list of content and role",
    fields=lambda _: _FIELDS,
    needed=lambda _: ("conversation_id", "conversation"),
    columns=_columns,
)

_FLAGS = ("harassment", "harassment/threatening", "hate", "self-harm", "sexual", "violence", "violence/graphic")
SCHEMA = pa.schema(
    [
        pa.field("conversation_id", pa.string()),
        pa.field("model", pa.string()),
        pa.field(
            "conversation",
            pa.list_(pa.struct([pa.field("content", pa.string()), pa.field("role", pa.string())])),
        ),
        pa.field("turn", pa.int64()),
        pa.field("language", pa.string()),
        pa.field(
            "openai_moderation",
            pa.list_(
                pa.struct(
                    [
                        pa.field("categories", pa.struct([pa.field(name, pa.bool_()) for name in _FLAGS])),
                        pa.field("category_scores", pa.struct([pa.field(name, pa.float64()) for name in _FLAGS])),
                        pa.field("flagged", pa.bool_()),
                    ]
                )
            ),
        ),
        pa.field("redacted", pa.bool_()),
    ]
)
"""The data set as it is published."""


def sample(folder: Path, conversations: int) -> Path:
    """Write so many conversations as LMSYS-Chat-1M publishes them."""
    return write_table(folder, SCHEMA, map(_publish, write_dialogues(conversations)))


def _publish(dialogue: Dialogue) -> dict[str, object]:
    return {
        "conversation_id": dialogue.key,
        "model": dialogue.model,
        "conversation": [{"content": message.text, "role": message.role} for message in dialogue.messages],
        "turn": len(dialogue.messages) // 2,
        "language": dialogue.language_name,
        "openai_moderation": [{"flagged": dialogue.toxic} for _ in dialogue.messages],
        "redacted": dialogue.redacted,
    }


SOURCE = FORM.source("LMSYS-Chat-1M: Parquet as published, or hub://lmsys/lmsys-chat-1m", sample, Options)
