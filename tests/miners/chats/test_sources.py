"""LMSYS, ShareGPT, messages and any table of chats: each form to the letter, and what is wrong with it."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pydantic import ValidationError

from miners.chats import chat_table, lmsys, messages, sharegpt
from schemas.errors import InputError

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def write_lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def said(row):
    return [(message["role"], message["content"]) for message in row["messages"]]


def test_lmsys_reads_its_schema(tmp_path, read):
    row = {
        "conversation_id": "ab",
        "model": "vicuna-13b",
        "conversation": CHAT,
        "language": "English",
        "redacted": True,
    }
    pq.write_table(pa.Table.from_pylist([row], lmsys.SCHEMA), tmp_path / "a.parquet")
    [found], dropped = read(lmsys.SOURCE, tmp_path / "a.parquet")
    assert (found["conversation_id"], found["model"], found["redacted"], dropped) == ("ab", "vicuna-13b", True, [])
    assert found["license"] == "LicenseRef-LMSYS-Chat-1M"
    assert said(found) == [("user", "Hi"), ("assistant", "Hello")]
    assert [found["user"], found["created_at"], found["toxic"]] == [None, None, None]


@pytest.mark.parametrize("flags", [[False, False], [False, True], []])
def test_lmsys_tells_what_moderation_flagged(tmp_path, read, flags):
    row = {"conversation_id": "ab", "conversation": CHAT, "openai_moderation": [{"flagged": one} for one in flags]}
    pq.write_table(pa.Table.from_pylist([row], lmsys.SCHEMA), tmp_path / "a.parquet")
    [found], _ = read(lmsys.SOURCE, tmp_path / "a.parquet")
    assert found["toxic"] == any(flags)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("VY7cMKG_0", {}, ("VY7cMKG", 0)),
        ("a_b_12", {}, ("a_b", 12)),
        ("plain", {}, ("plain", 0)),
        ("_3", {}, ("_3", 0)),
        ("identity_4", {"parts": False}, ("identity_4", 0)),
        ("long_99999999999", {}, ("long_99999999999", 0)),
    ],
)
def test_sharegpt_takes_ids_apart(tmp_path, read, name, options, expected):
    row = {"id": name, "conversations": [{"from": "human", "value": "Hi"}]}
    [found], _ = read(sharegpt.SOURCE, write_lines(tmp_path / "a.jsonl", row), **options)
    assert (found["conversation_id"], found["part"]) == expected
    assert found["license"] == "NOASSERTION"


@pytest.mark.parametrize("form", ["lines", "array", "pretty", "compressed"])
def test_sharegpt_is_the_same_in_every_form(tmp_path, read, form):
    lines = sharegpt.sample(tmp_path, 40)
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    text = {"lines": lines.read_text(), "pretty": json.dumps(rows, indent=2)}.get(form, json.dumps(rows))
    path = tmp_path / ("s.json.zst" if form == "compressed" else "s.json")
    path.write_bytes(zstandard.compress(text.encode()) if form == "compressed" else text.encode())
    assert read(sharegpt.SOURCE, path, slice_bytes=9000, chunk_bytes=5000) == read(sharegpt.SOURCE, lines)


def test_a_cut_array_keeps_what_is_whole(tmp_path, read):
    rows = [{"id": f"{at}", "conversations": [{"from": "human", "value": "x" * 50}]} for at in range(9)]
    tmp_path.joinpath("s.json").write_text(json.dumps(rows)[:-60])
    found, dropped = read(sharegpt.SOURCE, tmp_path / "s.json")
    assert ([row["conversation_id"] for row in found], dropped) == ([str(at) for at in range(8)], ["truncated"])


def test_broken_rows_are_quarantined_alone(tmp_path, read):
    sound = '{"id": "a", "conversations": [{"from": "human", "value": "half \\ud83d, nul \\u0000"}, null]}'
    broken = ["{", '{"id": "b", "conversations": "none"}', '{"conversations": []}', '{"id": "c"}']
    tmp_path.joinpath("s.jsonl").write_text("\n".join([sound, *broken]) + "\n")
    [found], dropped = read(sharegpt.SOURCE, tmp_path / "s.jsonl")
    assert said(found) == [("human", "half �, nul \0"), (None, None)]
    assert sorted(dropped) == ["bad_attribute"] * 3 + ["malformed_row"]


BLANK = {
    "sharegpt": (sharegpt.SOURCE, "id", {"conversations": [{"from": "human", "value": "Hi"}]}),
    "lmsys": (lmsys.SOURCE, "conversation_id", {"conversation": [{"role": "user", "content": "Hi"}]}),
}


@pytest.mark.parametrize("name", BLANK)
def test_blank_ids_are_none(tmp_path, read, name):
    """Else all rows without an id would be copies of one conversation."""
    source, key, row = BLANK[name]
    found, dropped = read(source, write_lines(tmp_path / "s.jsonl", *({key: one, **row} for one in ("", "a", ""))))
    assert ([row["conversation_id"] for row in found], dropped) == (["a"], ["bad_attribute"] * 2)


def test_a_parquet_file_without_rows_is_one_of_no_conversations(tmp_path):
    pq.write_table(lmsys.SCHEMA.empty_table(), tmp_path / "a.parquet")
    [part] = lmsys.SOURCE.plan(str(tmp_path / "a.parquet"), lmsys.SOURCE.options(), 1 << 20)
    assert (part.start, part.end) == (0, 0)


def test_a_message_of_ten_megabytes_passes(tmp_path, read):
    row = {"id": "a", "conversations": [{"from": "human", "value": "word " * 2_000_000}]}
    [found], dropped = read(sharegpt.SOURCE, write_lines(tmp_path / "s.jsonl", row))
    assert (len(found["messages"][0]["content"]), dropped) == (10_000_000, [])


def test_another_file_is_refused(tmp_path):
    path = write_lines(tmp_path / "s.jsonl", {"text": "a"}, {"text": "b"})
    with pytest.raises(InputError, match="none of its first 2 rows is a conversation"):
        sharegpt.SOURCE.plan(str(path), sharegpt.SOURCE.options(), 1 << 20)


PARTS = {
    "a text": ("Hi", "Hi"),
    "parts": ([{"type": "text", "text": 'a "b"\n'}, {"type": "input_text", "text": "c"}], 'a "b"\n\n\nc'),
    "an image": ([{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "x"}}], None),
    "nothing": (None, None),
    "no parts": ([], "[]"),
    "a text like parts": ('[{"type": "text", "text": "a', '[{"type": "text", "text": "a'),
    "a wrong escape": ('[{"type": "text", "text": "\\q"}]', '[{"type": "text", "text": "\\q"}]'),
    "other JSON": ('[{"a": 1}]', '[{"a": 1}]'),
}


@pytest.mark.parametrize("case", PARTS)
def test_contents_may_be_lists_of_parts(tmp_path, read, case):
    content, expected = PARTS[case]
    path = write_lines(tmp_path / "a.jsonl", {"messages": [{"role": "user", "content": content}]})
    [row], dropped = read(messages.SOURCE, path)
    assert (said(row), dropped) == ([("user", expected)], [])


def test_parquet_may_hold_parts_too(tmp_path, read):
    turns = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, {"role": "assistant", "content": None}]
    pq.write_table(pa.table({"id": [5], "messages": [turns]}), tmp_path / "a.parquet")
    [row], _ = read(messages.SOURCE, tmp_path / "a.parquet")
    assert (row["conversation_id"], said(row)) == ("a/5", [("user", "Hi"), ("assistant", None)])


@pytest.mark.parametrize("time", [1706933106.5, "1706933106.5", "1.7069331065e9"])
def test_seconds_may_have_a_fraction(tmp_path, read, time):
    [row], _ = read(messages.SOURCE, write_lines(tmp_path / "a.jsonl", {"messages": CHAT, "created_at": time}))
    assert row["created_at"].isoformat() == "2024-02-03T04:05:06.500000+00:00"


def test_seconds_of_a_float_column_are_read(tmp_path, read):
    pq.write_table(pa.table({"messages": [CHAT], "timestamp": [1.706933106e9]}), tmp_path / "a.parquet")
    [row], _ = read(messages.SOURCE, tmp_path / "a.parquet")
    assert row["created_at"].isoformat() == "2024-02-03T04:05:06+00:00"


@pytest.mark.parametrize("time", ["2024-02-03T04:05:06Z", 1706933106, 1706933106000, "2024-02-03 04:05:06"])
@pytest.mark.parametrize("column", ["created_at", "timestamp"])
def test_times_are_read_in_every_spelling(tmp_path, read, time, column):
    [row], _ = read(messages.SOURCE, write_lines(tmp_path / "a.jsonl", {"messages": CHAT, column: time}))
    assert row["created_at"].isoformat() == "2024-02-03T04:05:06+00:00"


def test_a_wrong_time_is_a_fault(tmp_path, read):
    rows = [{"messages": CHAT}, {"messages": CHAT, "created_at": "soon"}]
    found, dropped = read(messages.SOURCE, write_lines(tmp_path / "a.jsonl", *rows))
    assert (len(found), dropped) == (1, ["bad_attribute"])


def test_conversations_without_ids_are_named_by_their_place(tmp_path, read):
    folder = tmp_path / "logs"
    for name in ("x", "y"):
        folder.joinpath(name).mkdir(parents=True)
        write_lines(folder / name / "a.jsonl", {"messages": CHAT}, {"messages": CHAT})
    found, _ = read(messages.SOURCE, folder)
    names = [row["conversation_id"] for row in found]
    second = len(json.dumps({"messages": CHAT})) + 1
    assert names[:2] == ["logs/x/a.jsonl:0", f"logs/x/a.jsonl:{second}"]
    assert len(set(names)) == 4
    folder.rename(tmp_path / "moved")
    moved, _ = read(messages.SOURCE, tmp_path / "moved")
    assert [row["conversation_id"].replace("moved", "logs") for row in moved] == names


def test_an_empty_name_is_none(tmp_path, read):
    path = write_lines(tmp_path / "a.jsonl", {"messages": CHAT, "id": "", "user": ""}, {"messages": CHAT, "user": "u"})
    first, second = read(messages.SOURCE, path)[0]
    assert (first["conversation_id"], first["user"], len(second["user"])) == ("a/a.jsonl:0", None, 32)
    rows = [{"conversation": name, "nr": 0, "role": "user", "content": "Hi"} for name in ("", "b")]
    found, dropped = read(chat_table.SOURCE, write_lines(tmp_path / "t.jsonl", *rows))
    assert ([row["conversation_id"] for row in found], dropped) == (["t/b"], ["bad_attribute"])


def test_a_row_may_name_its_own_licence(tmp_path, read):
    path = write_lines(tmp_path / "a.jsonl", {"messages": CHAT, "license": "MIT"}, {"messages": CHAT})
    found, _ = read(messages.SOURCE, path, license="CC0-1.0")
    assert [row["license"] for row in found] == ["MIT", "CC0-1.0"]


def test_a_table_may_hold_one_message_a_row(tmp_path, read):
    rows = [
        {"chat": 4, "at": 1, "who": "assistant", "text": "Hello", "when": 1706933106, "bad": True},
        {"chat": 4, "at": 0, "who": "user", "text": "Hi", "when": 1706933100, "bad": False},
    ]
    columns = {"conversation": "chat", "order": "at", "role": "who", "content": "text"}
    more = {"created_at": "when", "toxic": "bad", "user": "chat"}
    found, _ = read(chat_table.SOURCE, write_lines(tmp_path / "t.jsonl", *rows), columns=columns | more)
    assert [(row["conversation_id"], row["part"], *said(row)) for row in found] == [
        ("t/4", 1, ("assistant", "Hello")),
        ("t/4", 0, ("user", "Hi")),
    ]
    assert [row["messages"][0]["toxic"] for row in found] == [True, False]
    assert found[0]["messages"][0]["created_at"] == found[0]["created_at"]


def test_a_table_may_hold_lists_of_messages(tmp_path, read):
    table = pa.table({"n": ["a"], "turns": [[{"who": "human", "text": "Hi"}]], "lang": ["en"]})
    pq.write_table(table, tmp_path / "t.parquet")
    columns = {"conversation": "n", "messages": "turns", "role": "who", "content": "text", "language": "lang"}
    [row], _ = read(chat_table.SOURCE, tmp_path / "t.parquet", columns=columns)
    assert (row["conversation_id"], row["language"], said(row)) == ("t/a", "en", [("human", "Hi")])


@pytest.mark.parametrize("columns", [{}, {"messages": "m", "order": "o"}])
def test_a_table_is_of_one_form(columns):
    with pytest.raises(ValidationError, match="and not both"):
        chat_table.Options(columns=columns)


def test_a_column_that_is_not_there_is_named(tmp_path):
    pq.write_table(
        pa.table({"conversation": ["a"], "nr": [1], "rolle": ["user"], "content": ["a"]}), tmp_path / "t.parquet"
    )
    with pytest.raises(InputError, match=r"no column `role`.*rolle"):
        chat_table.SOURCE.plan(str(tmp_path / "t.parquet"), chat_table.Options(), 1 << 20)


def test_messages_without_a_role_are_told_so(tmp_path):
    chat = [{"speaker": message["role"], "content": message["content"]} for message in CHAT]
    path = write_lines(tmp_path / "chats.jsonl", {"messages": chat}, {"messages": chat})
    with pytest.raises(InputError, match="no message of its first 2 rows says whose it is"):
        messages.SOURCE.plan(str(path), messages.SOURCE.options(), 1 << 20)


@pytest.mark.parametrize("form", ["lines", "parquet"])
def test_messages_without_a_content_are_told_so(tmp_path, form):
    chat = [{"role": message["role"], "text": message["content"]} for message in CHAT]
    path = tmp_path / ("chats.jsonl" if form == "lines" else "chats.parquet")
    if form == "lines":
        write_lines(path, {"messages": chat})
    else:
        pq.write_table(pa.table({"messages": [chat]}), path)
    with pytest.raises(InputError, match="no message of its beginning has `content`"):
        messages.SOURCE.plan(str(path), messages.SOURCE.options(), 1 << 20)
