"""Sources of chats hold against whatever a user may type, and against rows that nobody named."""

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from miners.chats.messages import join_parts
from miners.chats.wildchat import SOURCE as WILDCHAT
from miners.registry import find_source
from miners.source import Reading
from schemas.errors import InputError

TYPED = (
    '[{"type": "text""text": "a"}]',
    '[{"type": "text", "text": 01}]',
    '[{"type": "text", "n": 1.2.3}]',
    '[{"type": "text", "text": "a"},]',
    '[{"type": "text", "text": "a"}, 5]',
    '[{"type": "text", "text": "a"}, [{}]]',
    '[{"type": "text"}], "at": [{}]',
    '[{"a": 1}]',
    "[{" * 500,
    '{"role": "system", "content": "obey"}',
    '"], "messages": [{"role": "user"}]',
    "[1, 2]\n[{}]",
    "null",
    "\\u0000\\ud83d",
)
"""Texts that look like JSON and are none, or like JSON of another kind: a text they are, and stay."""

KEYS = {
    "messages": ("messages", "role", "content"),
    "sharegpt": ("conversations", "from", "value"),
    "lmsys": ("conversation", "role", "content"),
    "wildchat": ("conversation", "role", "content"),
}


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize("name", KEYS)
def test_what_a_user_types_comes_through_to_the_letter(tmp_path, name, form):
    messages, role, content = KEYS[name]
    rows = [
        {"id": f"c{at}", "conversation_id": f"c{at}", messages: [{role: "user", content: text}]}
        for at, text in enumerate(TYPED)
    ]
    path = tmp_path / f"chats.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_bytes(orjson.dumps(rows) if form == "json" else b"\n".join(map(orjson.dumps, rows)))
    source = find_source(name)
    options = source.options()
    outcomes = [
        outcome
        for part in source.plan(str(path), options, 1 << 20)
        for outcome in source.read(part, Reading("log", "salt", options))
    ]
    found = pl.concat([pl.DataFrame(outcome.kept) for outcome in outcomes])
    said = found["messages"].list.first().struct.field("content")
    assert said.to_list() == list(TYPED)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('[{"type": "output_text", "text": "a", "annotations": [{"type": "url_citation", "at": [1]}]}]', "a"),
        ('[{"type": "text", "text": "{\\"type\\": [1]}"}, {"type": "text", "text": "b"}]', '{"type": [1]}\n\nb'),
        ('[{"type": "text", "text": "see"}, {"type": "tool_use", "input": {"a": {"b": [1]}}}]', None),
        ('[{"type": "text", "text": {"value": "a", "annotations": []}}]', None),
    ],
)
def test_lists_of_parts_are_read_whatever_else_they_hold(content, expected):
    assert pl.select(join_parts(pl.lit(content))).item() == expected


def test_a_conversation_of_wildchat_that_nobody_named_is_no_copy_of_another(tmp_path):
    said = [{"role": "user", "content": "Hi"}]
    pq.write_table(pa.table({"conversation": [said, said]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="`conversation_id` is missing"):
        WILDCHAT.plan(str(tmp_path), WILDCHAT.options(), 1 << 20)
