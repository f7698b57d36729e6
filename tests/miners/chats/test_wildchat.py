"""WildChat in its exact schemas: unique ids, one user everywhere, and no moderation column in the way."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from miners.chats.wildchat import SCHEMA, SOURCE
from miners.formats.parquet import _choose_columns
from schemas.errors import InputError

NOON = datetime(2024, 8, 1, 12, tzinfo=UTC)
HEADER = {"accept-language": "en-US", "user-agent": "Mozilla/5.0"}
_HEADER = pa.struct([pa.field(name, pa.string()) for name in HEADER])
_COUNTS = (
    "reasoning_tokens",
    "text_tokens",
    "audio_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
)
_USAGE = pa.struct(
    [
        pa.field("completion_tokens", pa.int64()),
        pa.field("completion_tokens_details", pa.struct([pa.field(name, pa.int64()) for name in _COUNTS])),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("total_tokens", pa.int64()),
        pa.field(
            "prompt_tokens_details",
            pa.struct([pa.field("cached_tokens", pa.int64()), pa.field("audio_tokens", pa.int64())]),
        ),
    ]
)
_CATEGORIES = ("hate", "hate/threatening", "hate_threatening", "illicit", "illicit/violent", "illicit_violent")
_MODERATION = pa.list_(
    pa.struct(
        [
            pa.field("categories", pa.struct([pa.field(name, pa.bool_()) for name in _CATEGORIES])),
            pa.field("category_scores", pa.struct([pa.field(name, pa.float64()) for name in _CATEGORIES])),
            pa.field("flagged", pa.bool_()),
        ]
    )
)
_MESSAGE_4_8M = [
    ("content", pa.string()),
    ("created", pa.int64()),
    ("header", _HEADER),
    ("hashed_ip", pa.string()),
    ("country", pa.string()),
    ("toxic", pa.bool_()),
    ("redacted", pa.bool_()),
    ("state", pa.string()),
    ("language", pa.string()),
    ("openai_id", pa.string()),
    ("role", pa.string()),
    ("temperature", pa.float64()),
    ("timestamp", pa.timestamp("us")),
    ("token_counter", pa.int64()),
    ("top_p", pa.float64()),
    ("turn_identifier", pa.int64()),
    ("system_fingerprint", pa.string()),
    ("usage", _USAGE),
]
SCHEMA_4_8M = pa.schema(
    [
        pa.field("conversation_hash", pa.string()),
        pa.field("model", pa.string()),
        pa.field("timestamp", pa.timestamp("us")),  # without a zone
        pa.field("conversation", pa.list_(pa.struct([pa.field(*field) for field in _MESSAGE_4_8M]))),
        pa.field("turn", pa.int64()),
        pa.field("language", pa.string()),
        pa.field("openai_moderation", _MODERATION),
        SCHEMA.field("detoxify_moderation"),
        *(SCHEMA.field(name) for name in ("toxic", "redacted", "state", "country", "hashed_ip", "header")),
    ]
)


def make_row(schema, first=7, ip="ff00", **changes):
    naive = schema.field("timestamp").type.tz is None
    time = NOON.replace(tzinfo=None) if naive else NOON
    person = {"hashed_ip": ip, "header": HEADER, "country": "Chile", "state": "Maule"}
    said = [("user", "Hi\0", person), ("assistant", "Hello", {"timestamp": time}), ("user", None, person)]
    messages = [
        {"role": role, "content": content, "turn_identifier": first + place, "toxic": place == 2, "redacted": False}
        | own
        for place, (role, content, own) in enumerate(said)
    ]
    every = dict.fromkeys(_CATEGORIES, True)
    row = {
        "conversation_hash": "c0ffee",
        "model": "gpt-4",
        "timestamp": time,
        "conversation": messages,
        "language": "English",
        "openai_moderation": [{"categories": every, "category_scores": dict.fromkeys(every, 0.9), "flagged": True}],
        "toxic": True,
        "redacted": False,
        **person,
    }
    return row | changes


def write(path, schema, *rows):
    pq.write_table(pa.Table.from_pylist(list(rows), schema), path)
    return path


@pytest.mark.parametrize("schema", [SCHEMA, SCHEMA_4_8M], ids=["1M", "4.8M"])
def test_every_column_comes_from_the_published_schema(schema, tmp_path, read):
    [row], dropped = read(SOURCE, write(tmp_path / "train-00000-of-00001.parquet", schema, make_row(schema)))
    assert not dropped
    assert row.pop("user")
    messages = row.pop("messages")
    assert row == {
        "source": "wildchat",
        "conversation_id": "c0ffee-7",
        "part": 0,
        "model": "gpt-4",
        "created_at": NOON,
        "language": "English",
        "country": "Chile",
        "toxic": True,
        "redacted": False,
        "license": "ODC-By-1.0",
    }
    assert messages[1] == {
        "turn_id": "8",
        "role": "assistant",
        "content": "Hello",
        "created_at": NOON,
        "toxic": False,
        "redacted": False,
    }
    assert [(message["content"], message["toxic"]) for message in messages] == [
        ("Hi\0", False),
        ("Hello", False),
        (None, True),
    ]


def test_conversations_of_one_hash_are_told_apart(tmp_path, read):
    rows = [make_row(SCHEMA), make_row(SCHEMA, first=19, ip="aa11")]
    found, _ = read(SOURCE, write(tmp_path / "a.parquet", SCHEMA, *rows))
    assert [row["conversation_id"] for row in found] == ["c0ffee-7", "c0ffee-19"]
    assert found[0]["user"] != found[1]["user"]


def test_a_user_is_the_same_in_every_file_and_edition(tmp_path, read):
    one, _ = read(SOURCE, write(tmp_path / "one.parquet", SCHEMA, make_row(SCHEMA)))
    plain = make_row(SCHEMA_4_8M, hashed_ip=None, header=None)  # only the messages say who
    two, _ = read(SOURCE, write(tmp_path / "two.parquet", SCHEMA_4_8M, plain))
    other = make_row(SCHEMA, header=HEADER | {"accept-language": "es"})
    three, _ = read(SOURCE, write(tmp_path / "three.parquet", SCHEMA, other))
    assert one[0]["user"] == two[0]["user"] != three[0]["user"]
    assert "ff00" not in one[0]["user"]


def test_nobody_is_no_user(tmp_path, read):
    row = make_row(SCHEMA, hashed_ip=None, header=None)
    for message in row["conversation"]:
        message["hashed_ip"] = None
    [found], _ = read(SOURCE, write(tmp_path / "a.parquet", SCHEMA, row))
    assert found["user"] is None


def test_the_first_edition_names_conversations_otherwise(tmp_path, read):
    names = ["conversation_id" if name == "conversation_hash" else name for name in SCHEMA.names]
    table = pa.Table.from_pylist([make_row(SCHEMA)], SCHEMA).rename_columns(names)
    pq.write_table(table, tmp_path / "a.parquet")
    [row], _ = read(SOURCE, tmp_path / "a.parquet")
    assert row["conversation_id"] == "c0ffee-7"


@pytest.mark.parametrize("schema", [SCHEMA, SCHEMA_4_8M], ids=["1M", "4.8M"])
def test_moderation_and_usage_are_never_read(schema, tmp_path):
    path = write(tmp_path / "a.parquet", schema, make_row(schema))
    [part] = SOURCE.plan(str(path), SOURCE.options(), 1 << 30)
    from miners.chats.wildchat import FORM

    columns = _choose_columns(pq.ParquetFile(part.path), FORM.fields(SOURCE.options()))
    assert {name.split(".")[0] for name in columns}.isdisjoint({"openai_moderation", "detoxify_moderation", "turn"})
    assert not [name for name in columns if "usage" in name or "token" in name]


def test_another_table_is_refused(tmp_path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="has no column `conversation`"):
        SOURCE.plan(str(tmp_path / "a.parquet"), SOURCE.options(), 1 << 30)


def test_slices_and_chunks_change_nothing(tmp_path, read):
    SOURCE.sample(tmp_path, 600)
    assert read(SOURCE, tmp_path, slice_bytes=1, chunk_bytes=1 << 14) == read(SOURCE, tmp_path)
