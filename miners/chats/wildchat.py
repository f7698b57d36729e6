"""WildChat-1M and WildChat-4.8M (allenai): chats of volunteers with ChatGPT, as Parquet or from the Hub.

`conversation_hash` is a hash of the content: two users who said the same share it. With `turn_identifier` of the first
message, which is unique, it names a conversation. The first edition calls it `conversation_id`. Moderation columns,
whose keys are spelled in two ways (`hate/threatening`, `hate_threatening`), are not read.
"""

from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from miners.conversations import MOMENT, Columns, Form, list_messages, pick, texts
from miners.dialogues import Dialogue, write_dialogues
from miners.documents import blank_to_null
from miners.lessons import write_table
from miners.source import Reading
from schemas.identity import hash_author

_NAME = "wildchat"
_HEADER = texts("accept-language", "user-agent")
_MESSAGE = pl.Struct(
    {
        "content": pl.String(),
        "role": pl.String(),
        "turn_identifier": pl.String(),
        "timestamp": MOMENT,
        "toxic": pl.Boolean(),
        "redacted": pl.Boolean(),
        "country": pl.String(),
        "hashed_ip": pl.String(),
        "header": _HEADER,
    }
)
_FIELDS = {
    "conversation_hash": pl.String(),
    "conversation_id": pl.String(),
    "model": pl.String(),
    "timestamp": MOMENT,
    "conversation": pl.List(_MESSAGE),
    "language": pl.String(),
    "toxic": pl.Boolean(),
    "redacted": pl.Boolean(),
    "country": pl.String(),
    "hashed_ip": pl.String(),
    "header": _HEADER,
}
_FIRST = pl.col("conversation").list.first().struct
_LICENSE = "ODC-By-1.0"


class Options(BaseModel):
    """What no row says."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    license: str = _LICENSE
    """SPDX id of the licence under which the edition is published."""


def _columns(reading: Reading) -> Columns:
    """Say how CONVERSATION is made. A user is an address and a browser, and the same in every file and edition."""
    name = pl.coalesce("conversation_hash", "conversation_id")
    first = _FIRST.field("turn_identifier")
    address = pl.coalesce(blank_to_null(ip) for ip in (pl.col("hashed_ip"), _FIRST.field("hashed_ip")))
    browser = [_of_header(field) for field in ("accept-language", "user-agent")]
    person = pl.when(address.is_not_null()).then(pl.concat_str(address, *browser, separator=" "))
    return {
        "conversation_id": pl.coalesce(pl.concat_str(name, first, separator="-"), name, first),
        "user": hash_author(person, _NAME, reading.salt),
        "model": pl.col("model"),
        "created_at": pl.col("timestamp"),
        "language": pl.col("language"),
        "country": pl.coalesce("country", _FIRST.field("country")),
        "toxic": pl.col("toxic"),
        "redacted": pl.col("redacted"),
        "license": pl.lit(cast("Options", reading.options).license),
        "messages": list_messages(
            pl.col("conversation"),
            turn_id=pick("turn_identifier"),
            role=pick("role"),
            content=pick("content"),
            created_at=pick("timestamp"),
            toxic=pick("toxic"),
            redacted=pick("redacted"),
        ),
    }


def _of_header(field: str) -> pl.Expr:
    inner = _FIRST.field("header").struct.field(field)
    return pl.coalesce(pl.col("header").struct.field(field), inner).fill_null("")


FORM = Form(
    name=_NAME,
    looks="a row with conversation_hash, timestamp and conversation, a list of content, role and turn_identifier",
    fields=lambda _: _FIELDS,
    needed=lambda _: ("conversation",),
    columns=_columns,
)

_HEADER_TYPE = pa.struct([pa.field("accept-language", pa.string()), pa.field("user-agent", pa.string())])
_FLAGS = ("harassment", "harassment/threatening", "harassment_threatening", "hate", "hate/threatening", "violence")
_MODERATION = pa.list_(
    pa.struct(
        [
            pa.field("categories", pa.struct([pa.field(name, pa.bool_()) for name in _FLAGS])),
            pa.field("category_scores", pa.struct([pa.field(name, pa.float64()) for name in _FLAGS])),
            pa.field("flagged", pa.bool_()),
        ]
    )
)
SCHEMA = pa.schema(
    [
        pa.field("conversation_hash", pa.string()),
        pa.field("model", pa.string()),
        pa.field("timestamp", pa.timestamp("us", "UTC")),
        pa.field(
            "conversation",
            pa.list_(
                pa.struct(
                    [
                        pa.field("content", pa.string()),
                        pa.field("country", pa.string()),
                        pa.field("hashed_ip", pa.string()),
                        pa.field("header", _HEADER_TYPE),
                        pa.field("language", pa.string()),
                        pa.field("redacted", pa.bool_()),
                        pa.field("role", pa.string()),
                        pa.field("state", pa.string()),
                        pa.field("timestamp", pa.timestamp("us", "UTC")),
                        pa.field("toxic", pa.bool_()),
                        pa.field("turn_identifier", pa.int64()),
                    ]
                )
            ),
        ),
        pa.field("turn", pa.int64()),
        pa.field("language", pa.string()),
        pa.field("openai_moderation", _MODERATION),
        pa.field(
            "detoxify_moderation",
            pa.list_(
                pa.struct(
                    [
                        pa.field(name, pa.float64())
                        for name in (
                            "identity_attack",
                            "insult",
                            "obscene",
                            "severe_toxicity",
                            "sexual_explicit",
                            "threat",
                            "toxicity",
                        )
                    ]
                )
            ),
        ),
        pa.field("toxic", pa.bool_()),
        pa.field("redacted", pa.bool_()),
        pa.field("state", pa.string()),
        pa.field("country", pa.string()),
        pa.field("hashed_ip", pa.string()),
        pa.field("header", _HEADER_TYPE),
    ]
)
"""WildChat-1M as it is published."""


def sample(folder: Path, conversations: int) -> Path:
    """Write so many conversations as WildChat-1M publishes them."""
    return write_table(folder, SCHEMA, map(_publish, write_dialogues(conversations)))


def _publish(dialogue: Dialogue) -> dict[str, object]:
    person = {
        "country": dialogue.country,
        "hashed_ip": dialogue.user,
        "header": {"accept-language": dialogue.accepts, "user-agent": "Mozilla/5.0"},
        "state": None,
    }
    flags = {"toxic": dialogue.toxic, "redacted": dialogue.redacted}
    messages = [
        {
            "content": message.text,
            "language": dialogue.language_name,
            "role": message.role,
            "timestamp": None if message.role == "user" else message.at,
            "turn_identifier": 1_000_000 + 100 * dialogue.number + place,
            **(person if message.role == "user" else {}),
            **flags,
        }
        for place, message in enumerate(dialogue.messages)
    ]
    return {
        "conversation_hash": dialogue.content_hash,
        "model": dialogue.model,
        "timestamp": dialogue.messages[-1].at,
        "conversation": messages,
        "turn": len(messages) // 2,
        "language": dialogue.language_name,
        "openai_moderation": [{"categories": {}, "category_scores": {}, "flagged": False} for _ in messages],
        "detoxify_moderation": [{"toxicity": 0.001} for _ in messages],
        **person,
        **flags,
    }


SOURCE = FORM.source("WildChat-1M and -4.8M: Parquet as published, or hub://allenai/WildChat-1M", sample, Options)
