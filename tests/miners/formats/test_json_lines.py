"""The oracle is json.loads, line by line."""

import bz2
import gzip
import json
import lzma
import math
import random
import tracemalloc
from functools import partial

import polars as pl
import pyarrow as pa
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from miners.formats.json_lines import EXCERPT_BYTES, cut_file, read_lines
from schemas.drops import DROP, DropReason
from schemas.errors import InputError

TEXT = {"a": pl.String(), "b": pl.String()}
PACK = {
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".gz": gzip.compress,
    ".bz2": partial(bz2.compress, compresslevel=1),
    ".xz": lzma.compress,
    "": bytes,
}
MIB = 1 << 20


def write(path, data: bytes, ending: str = "") -> str:
    file = path / f"rows.jsonl{ending}"
    file.write_bytes(PACK[ending](data))
    return str(file)


def read(path: str, fields=TEXT, slice_bytes: int = 1 << 40, chunk_bytes: int = MIB, **limits):
    """Read all slices: the rows as tuples with the offset last, and the broken ones."""
    parts = cut_file(path, "posts", slice_bytes)
    lines = [found for part in parts for found in read_lines(part, fields, chunk_bytes=chunk_bytes, **limits)]
    rows = [row for found in lines for row in found.frame.rows()]
    broken = pa.concat_tables([DROP.empty_table(), *(found.broken for found in lines)]).to_pylist()
    return rows, broken


def say(broken: list[dict]) -> list[tuple[str, int]]:
    return [(row["reason"], row["offset"]) for row in broken]


# ------------------------------------------------------------------------------------------------------ sound lines


def spell(value: object) -> str | None:
    """What a value is as text: scalars only."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


SCALAR = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()
OBJECT = st.dictionaries(st.sampled_from(["a", "b", "other"]) | st.text(), SCALAR, max_size=4)
ENDS = st.sampled_from(["\n", "\r\n", "\n\n", "\n \t\r\n"])


@given(
    st.lists(st.tuples(OBJECT, st.booleans(), ENDS), min_size=1, max_size=12), st.integers(1, 200), st.integers(1, 99)
)
@example([({"a": "😀", "b": "\u0000"}, True, "\n")], 5, 5)
def test_any_slices_and_chunks_give_what_json_gives(tmp_path_factory, objects, slice_bytes, chunk_bytes):
    data, expected = b"", []
    for row, ascii_only, end in objects:
        expected.append((spell(row.get("a")), spell(row.get("b")), len(data)))
        data += (json.dumps(row, ensure_ascii=ascii_only) + end).encode("utf-8", "surrogatepass")
    path = write(tmp_path_factory.mktemp("any"), data)
    assert read(path, slice_bytes=slice_bytes, chunk_bytes=chunk_bytes) == (expected, [])


LINE = st.sampled_from(
    [b'{"a":1}', b'{"a":"x","b":false}', b"", b"  ", b"[1]", b"null", b'{"a":', b'{"a":"\xff"}', b'{"a":1}{"a":2}']
)


@given(st.lists(LINE, min_size=1, max_size=30), st.integers(1, 200), st.integers(1, 200))
def test_broken_lines_are_the_same_whatever_the_slices(tmp_path_factory, lines, slice_bytes, chunk_bytes):
    data = b"\n".join([b"{}", *lines])
    path = write(tmp_path_factory.mktemp("broken"), data)
    assert read(path, slice_bytes=slice_bytes, chunk_bytes=chunk_bytes) == read(path)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("123", "123"),
        ("1.5", "1.5"),
        ("5.0", "5"),
        ("1e2", "100"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("true", "true"),
        ("null", None),
        ('{"x": [1]}', '{"x": [1]}'),
        (r'"\u0000"', "\0"),
        (r'"\ud83d\ude00"', "😀"),
        (r'"\ud83d"', "\ufffd"),
        (r'"x\uDE00y"', "x\ufffdy"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (r'"\ud83d\u0041"', "\ufffdA"),
        (r'"\\ud83d"', r"\ud83d"),
        (r'"\\\ud83d"', "\\\ufffd"),
        (r'"\\ud83d\ude00"', "\\ud83d\ufffd"),
        (r'"\ud83d\\ude00"', "\ufffd\\ude00"),
    ],
)
def test_every_value_is_text_where_text_is_asked_for(tmp_path, written, text):
    rows, broken = read(write(tmp_path, b'{"a":' + written.encode() + b"}\n"))
    assert (rows, broken) == ([(text, None, 0)], [])


def test_nested_fields_are_read_with_their_leaves_as_text(tmp_path):
    fields = {"deep": pl.List(pl.Struct({"id": pl.String, "n": pl.Int64}))}
    rows, _ = read(write(tmp_path, b'{"deep":[{"id":2,"n":3,"more":1},{"id":"x"}]}\n{}'), fields)
    assert rows == [([{"id": "2", "n": 3}, {"id": "x", "n": None}], 0), (None, 46)]


@pytest.mark.parametrize("ending", PACK)
def test_compressed_files_read_as_plain_ones(tmp_path, ending):
    data = b"\xef\xbb\xbf" + b"".join(b'{"a":%d,"b":"%d"}\r\n' % (n, n * n) for n in range(5000))
    rows, broken = read(write(tmp_path, data, ending), chunk_bytes=1000)
    assert broken == []
    assert rows[0] == ("0", "0", 0)
    assert rows[1] == ("1", "1", 20)
    assert [row[:2] for row in rows] == [(str(n), str(n * n)) for n in range(5000)]


@pytest.mark.parametrize("ending", [ending for ending in PACK if ending])
def test_several_frames_with_zeros_between_are_one_stream(tmp_path, ending):
    pack = PACK[ending]
    file = tmp_path / f"rows{ending}"
    file.write_bytes(pack(b'{"a":1}\n{"a"') + b"\0" * 9000 + pack(b":2}\n") + pack(b"") + pack(b'{"a":3}'))
    assert [row[0] for row in read(str(file))[0]] == ["1", "2", "3"]


def test_a_zst_may_begin_with_a_skippable_frame_and_a_long_window(tmp_path):
    # RFC 8878, 3.1.1: magic, no flags, the window's exponent (31 - 10) in the upper five bits, one last raw block
    line = b'{"a":1}\n'
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + (len(line) << 3 | 1).to_bytes(3, "little") + line
    (tmp_path / "x.zst").write_bytes(b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip" + frame)
    assert read(str(tmp_path / "x.zst"))[0] == [("1", None, 0)]


# ----------------------------------------------------------------------------------------------------- broken lines


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (b'{"a":"x"', DropReason.MALFORMED_ROW, "unexpected end"),
        (b'{"a":"x"} trailing', DropReason.MALFORMED_ROW, "after document"),
        (b'{"a":"x"}{"a":"y"}', DropReason.MALFORMED_ROW, "after document"),
        (b'{"a":NaN}', DropReason.MALFORMED_ROW, "unexpected character"),
        (b'{"a":1e999}', DropReason.MALFORMED_ROW, "infinity"),
        (b"[1,2]", DropReason.MALFORMED_ROW, "no object"),
        (b"null", DropReason.MALFORMED_ROW, "no object"),
        (b'[{"a":1}]', DropReason.MALFORMED_ROW, "no object"),
        (b"<html>", DropReason.MALFORMED_ROW, "unexpected character"),
        (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", DropReason.MALFORMED_ROW, "depth limit"),
        (b'{"a":' * 10_000, DropReason.MALFORMED_ROW, "depth limit"),
        (b'{"a":"x\xffy"}', DropReason.INVALID_UTF8, "0xff"),
        (b'{"other":"\xed\xa0\xbd"}', DropReason.INVALID_UTF8, "0xed"),
        (b'{"a":"x\x00y"}', DropReason.CONTROL_CHARACTER, "at byte 7"),
        (b"\x1f\x8b\x08", DropReason.INVALID_UTF8, "0x8b"),
        (b"\x00\x00\x00", DropReason.CONTROL_CHARACTER, "at byte 0"),
        (b'{"n":"x"}', DropReason.BAD_ATTRIBUTE, "cannot parse 'x'"),
        (b'{"n":1.5}', DropReason.BAD_ATTRIBUTE, "cannot parse '1.5'"),
        (b'{"s":"x"}', DropReason.BAD_ATTRIBUTE, "unexpected value"),
        (b'{"a":"' + b"x" * 2000 + b'"}', DropReason.ROW_TOO_LONG, "longer than"),
    ],
    ids=lambda value: value[:12].decode("latin1") if isinstance(value, bytes) else None,
)
def test_a_broken_line_stands_alone_in_the_quarantine(tmp_path, line, reason, detail):
    fields = TEXT | {"n": pl.Int64(), "s": pl.Struct({"x": pl.String})}
    limit = 1000 if reason == DropReason.ROW_TOO_LONG else MIB
    data = b'{"a":1}\n' + line + b'\r\n{"a":2}\n'
    rows, broken = read(write(tmp_path, data), fields, max_line_bytes=limit)
    assert [(row[0], row[-1]) for row in rows] == [("1", 0), ("2", len(line) + 10)]
    [row] = broken
    assert (row["reason"], row["offset"], row["file"]) == (reason, 8, str(tmp_path / "rows.jsonl"))
    assert detail in row["detail"]
    assert row["row"] == line[: min(EXCERPT_BYTES, limit)].decode("utf-8", "replace")


def test_one_bad_line_among_a_million_costs_little(tmp_path):
    good = b'{"a":"some text","b":12345}\n' * 100_000
    at = len(good) // 56 * 28
    path = write(tmp_path, good[:at] + b'{"a":"some text,"b":12345}\n' + good[at:])
    rows, broken = read(path)
    assert len(rows) == 100_000
    assert say(broken) == [(DropReason.MALFORMED_ROW, at)]


def test_a_line_too_long_is_not_held(tmp_path):
    long = b'{"a":"' + b"x" * (40 * MIB) + b'"}\n'
    path = write(tmp_path, b'{"a":1}\n' + long + b'{"a":2}\n', ".gz")
    del long
    tracemalloc.start()
    rows, broken = read(path, max_line_bytes=2 * MIB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row[0] for row in rows] == ["1", "2"]
    assert say(broken) == [(DropReason.ROW_TOO_LONG, 8)]
    assert len(broken[0]["row"]) == EXCERPT_BYTES
    assert peak < 20 * MIB


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(8, 40), st.integers(1, 99), st.integers(1, 99)
)
def test_what_is_too_long_does_not_hang_on_slices(tmp_path_factory, sizes, limit, slice_bytes, chunk_bytes):
    lines = [b'{"a":"%b"}' % (b"x" * size) for size in sizes]
    path = write(tmp_path_factory.mktemp("long"), b"\n".join(lines))
    rows, broken = read(path, slice_bytes=slice_bytes, chunk_bytes=chunk_bytes, max_line_bytes=limit)
    assert [row[0] for row in rows] == ["x" * size for size in sizes if size + 8 <= limit]
    assert [row["row"] for row in broken] == [line.decode()[:limit] for line in lines if len(line) > limit]


def test_quarantine_finds_the_raw_lines_again(tmp_path):
    path = write(tmp_path, b'{"a":1}\n\n{"a":"\\ud83d"}\r\n{"a":3}\n')
    [lines] = read_lines(cut_file(path, "posts", MIB)[0], TEXT, chunk_bytes=MIB)
    refused = lines.frame.filter(pl.col("a") != "1").select("offset", reason=pl.lit("removed"), ref="a", detail="b")
    found = lines.quarantine(refused).to_pylist()
    assert [(row["ref"], row["offset"], row["row"]) for row in found] == [
        ("\ufffd", 9, '{"a":"\\ud83d"}'),
        ("3", 25, '{"a":3}'),
    ]


# ----------------------------------------------------------------------------------------------------- damaged files


def make_noise(rows: int) -> bytes:
    chance = random.Random(7)
    return b"".join(b'{"a":"%080x"}\n' % chance.getrandbits(320) for _ in range(rows))


@pytest.mark.parametrize("ending", [ending for ending in PACK if ending])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_of_a_cut_stream_the_whole_lines_go_on(tmp_path, ending, kept):
    data = make_noise(6000)
    packed = PACK[ending](data)
    file = tmp_path / f"rows{ending}"
    file.write_bytes(packed[: int(len(packed) * kept)])
    rows, broken = read(str(file), chunk_bytes=50_000)
    [row] = broken
    assert rows == read(write(tmp_path, data))[0][: len(rows)]
    assert len(rows) > 6000 * kept * 0.5
    assert (row["reason"], row["file"], row["offset"]) == (DropReason.TRUNCATED, str(file), len(rows) * 89)
    assert data[row["offset"] :].startswith(row["row"].encode())
    assert "compressed frame" in row["detail"]


@pytest.mark.parametrize("ending", [ending for ending in PACK if ending])
def test_garbage_behind_a_stream_is_told(tmp_path, ending):
    file = tmp_path / f"rows{ending}"
    file.write_bytes(PACK[ending](b'{"a":1}\n') + b"garbage, and more garbage than any header needs")
    rows, broken = read(str(file))
    assert [row[0] for row in rows] == ["1"]
    assert say(broken) == [(DropReason.TRUNCATED, 8)]


@pytest.mark.parametrize("ending", [".zst", ".gz", ".xz"])
def test_flipped_bytes_are_no_crash(tmp_path, ending):
    data = make_noise(6000)
    packed = bytearray(PACK[ending](data))
    for at in range(len(packed) // 2, len(packed), len(packed) // 7):
        packed[at] ^= 0xFF
    file = tmp_path / f"rows{ending}"
    file.write_bytes(bytes(packed))
    rows, broken = read(str(file))
    assert len(rows) < 6000
    assert DropReason.TRUNCATED in {row["reason"] for row in broken}


def test_a_plain_file_that_ends_inside_a_line(tmp_path):
    rows, broken = read(write(tmp_path, b'{"a":1}\n{"a":"tw'))
    assert [row[0] for row in rows] == ["1"]
    assert say(broken) == [(DropReason.TRUNCATED, 8)]
    assert broken[0]["row"] == '{"a":"tw'


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("x.jsonl", b"", "the file is empty"),
        ("x.jsonl", b" \n\n ", "nothing in it"),
        ("x.jsonl", b"a,b\n1,2\n", "no line of its beginning is an object"),
        ("x.jsonl", gzip.compress(b"{}", mtime=0), "its bytes are those of a .gz"),
        ("x.zst", b'{"a":1}\n', "does not begin as a .zst"),
        ("x.zst", gzip.compress(b"{}", mtime=0), "its bytes are those of a .gz"),
        ("x.gz", gzip.compress(b"", mtime=0), "nothing in it"),
        ("x.zst", zstandard.compress(b'{"a":1}\n' * 9)[:9], "inside a compressed frame"),
        ("x.xz", b"\xfd7zXZ\x00 and no more of it", "cannot be decompressed"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, name, data, problem):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=problem) as caught:
        cut_file(str(tmp_path / name), "posts", MIB)
    assert caught.value.path == str(tmp_path / name)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        cut_file(str(tmp_path / "none.jsonl"), "posts", MIB)
    with pytest.raises(InputError, match="a folder"):
        cut_file(str(tmp_path), "posts", MIB)


@given(st.binary(max_size=300))
def test_no_bytes_crash_it(tmp_path_factory, junk):
    path = write(tmp_path_factory.mktemp("junk"), b'{"a":1}\n' + junk + b'\n{"a":2}')
    rows, _ = read(path)
    assert rows[0][0] == "1"
    assert rows[-1][0] == "2"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_their_value(tmp_path_factory, real):
    path = write(tmp_path_factory.mktemp("float"), b'{"a":%b}' % json.dumps(real).encode())
    [(text, _, _)], _ = read(path)
    assert math.isclose(float(text), real, rel_tol=1e-15)
