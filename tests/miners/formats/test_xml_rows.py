import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miners.formats.xml_rows import HEAD_BYTES, Layout, Rows, check_head, find_rows, read_rows
from schemas.drops import DROP, DropReason
from schemas.errors import InputError

LAYOUT = Layout("Things.xml", "things", ("Id", "Body"), max_row_bytes=1 << 20)


def write(*rows: bytes, closing: bytes = b"</things>") -> bytes:
    return b"\xef\xbb\xbf<?xml version='1.0'?>\r\n<things>\r\n  " + b"\r\n  ".join(rows) + b"\r\n" + closing


def row(number: int, body: bytes = b"text") -> bytes:
    return b'<row Id="%d" Body="%b" />' % (number, body)


def read(data: bytes, span: tuple[int, int] | None = None, block: int = 1 << 16, **options) -> list[Rows]:
    low, high = span or (0, len(data))
    layout = Layout(LAYOUT.file, LAYOUT.root, LAYOUT.attributes, options.pop("max_row_bytes", LAYOUT.max_row_bytes))
    blocks = (data[start : start + block] for start in range(low, len(data), block))
    return list(read_rows(blocks, (low, high), layout, **options))


def sound(parts: list[Rows]) -> list[tuple[str | None, str | None]]:
    rows = [item for part in parts for item in part.table.to_pylist()]
    return [(item["Id"], item["Body"]) for item in rows]


def broken(parts: list[Rows]) -> list[dict]:
    return pa.concat_tables([DROP.empty_table(), *(part.broken for part in parts)]).to_pylist()


def escape(text: str) -> bytes:
    for raw, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(raw, written)
    for code in (0x9, 0xA, 0xD):
        text = text.replace(chr(code), f"&#x{code:X};")
    return text.encode()


XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(32)), "\ufffe", "\uffff"])
    | st.sampled_from("\t\n\r<>&\"'/ ")
)


@settings(deadline=None)
@given(st.lists(XML_TEXT, min_size=1, max_size=8))
def test_any_text_survives_escaping(texts):
    data = write(*(row(number, escape(text)) for number, text in enumerate(texts)))
    assert sound(read(data)) == [(str(number), text) for number, text in enumerate(texts)]
    assert broken(read(data)) == []


BAD_ROWS = {
    b'<row Id="1" Body="a\xff" />': DropReason.INVALID_UTF8,
    b'<row Id="1" Body="a\x01" />': DropReason.CONTROL_CHARACTER,
    b'<row Id="1" Body="a\x00" />': DropReason.CONTROL_CHARACTER,
    b'<row Id="1" Body="a\xef\xbf\xbe" />': DropReason.CONTROL_CHARACTER,
    b'<row Id="1" Body="a&#x0;" />': DropReason.CONTROL_CHARACTER,
    b'<row Id="1" Body="a&#31;" />': DropReason.CONTROL_CHARACTER,
    b'<row Id="1" Body="a&#xFFFF;" />': DropReason.CONTROL_CHARACTER,
    b'<row Id="1" Body="a&#xD800;" />': DropReason.CONTROL_CHARACTER,
    b'<row Id="1" Body="a&#x110000;" />': DropReason.CONTROL_CHARACTER,
    b'<row Id="1" Body="a&#99999999999999999999;" />': DropReason.CONTROL_CHARACTER,
    b'<row Id="1" Body="a&nbsp;" />': DropReason.UNKNOWN_ENTITY,
    b'<row Id="1" Body="a & b" />': DropReason.MALFORMED_ROW,
    b'<row Id="1" Body="a < b" />': DropReason.MALFORMED_ROW,
    b'<row Id=1 Body="a" />': DropReason.MALFORMED_ROW,
    b'<row Id="1" Id="2" Body="a" />': DropReason.MALFORMED_ROW,
    b'<row Id="1" Body="a" >': DropReason.MALFORMED_ROW,
    b'<row Id="1" Body="a />': DropReason.MALFORMED_ROW,
    b'<row Id="1" Body="a"></thing>': DropReason.MALFORMED_ROW,
    b'<row Id="1" Body="a" /> row Id="2" Body="b" />': DropReason.MALFORMED_ROW,
    b'<row Id="1" Body="a" /> lost': DropReason.MALFORMED_ROW,
    b'<row Id="1" Body="a" /><rwo Id="2" Body="b" />': DropReason.MALFORMED_ROW,
    b'<rows Id="1" Body="a" />': DropReason.MALFORMED_ROW,
    b'<rowId="1" Body="a" />': DropReason.MALFORMED_ROW,
    b'<row Id="1" Body="a" /></things><!DOCTYPE x [<!ENTITY y "z">]><things>': DropReason.MALFORMED_ROW,
}


@pytest.mark.parametrize("bad", BAD_ROWS, ids=repr)
@pytest.mark.parametrize("place", [0, 3, 7])
def test_a_bad_row_is_quarantined_alone(bad, place):
    good = [row(number) for number in range(10, 17)]
    data = write(*good[:place], bad, *good[place:])
    (fault,) = broken(read(data))
    assert (fault["reason"], fault["file"], fault["offset"]) == (BAD_ROWS[bad], "Things.xml", data.index(bad))
    assert fault["row"].startswith(bad.decode("utf-8", "replace"))
    assert fault["detail"]
    assert [number for number, _ in sound(read(data))] == [str(number) for number in range(10, 17)]


@settings(deadline=None)
@given(st.lists(st.sampled_from([*BAD_ROWS, row(1), row(2, b"x > y />"), row(3), b"<row Id='4' Body='q'></row>"])))
def test_neighbours_do_not_change_what_becomes_of_a_row(rows):
    together = read(write(*rows))
    alone = [part for item in rows for part in read(write(item))]
    assert sound(together) == sound(alone)
    assert [fault["reason"] for fault in broken(together)] == sorted_by_offset(together)
    assert sorted(fault["reason"] for fault in broken(together)) == sorted(fault["reason"] for fault in broken(alone))


def sorted_by_offset(parts: list[Rows]) -> list[str]:
    faults = broken(parts)
    controls = [fault for fault in faults if fault["detail"].startswith("a character that XML forbids, ")]
    others = [fault for fault in faults if fault not in controls]
    assert all(group == sorted(group, key=lambda fault: fault["offset"]) for group in (controls, others))
    return [fault["reason"] for fault in faults]


@pytest.mark.parametrize("chunk_bytes", [1, 40, 1 << 20])
@pytest.mark.parametrize("slice_bytes", [1, 2, 3, 7, 64, 1000])
def test_slices_of_any_size_give_the_same_rows(slice_bytes, chunk_bytes):
    data = write(
        *(row(number, b"<row"[1:] * (number % 5)) for number in range(12)), b'<row Id="x" Body="\xff" />', row(99)
    )
    whole = read(data)
    spans = [(low, min(low + slice_bytes, len(data))) for low in range(0, len(data), slice_bytes)]
    parts = [part for span in spans for part in read(data, span, block=11, chunk_bytes=chunk_bytes)]
    assert sound(parts) == sound(whole)
    assert broken(parts) == broken(whole)


def test_chunks_stay_near_the_size_asked_for():
    data = write(*(row(number, b"x" * 100) for number in range(200)))
    parts = read(data, block=500, chunk_bytes=1000)
    assert max(len(part.chunk.data) for part in parts) < 1000 + 500
    assert len(sound(parts)) == 200


@pytest.mark.parametrize("block", [7, 1000, 1 << 20])
def test_a_row_beyond_the_limit_is_quarantined_and_its_neighbours_kept(block):
    data = write(row(1), row(2, b"x" * 5000), row(3), row(4, b"y" * 9000), row(5))
    parts = read(data, block=block, max_row_bytes=2000)
    assert [number for number, _ in sound(parts)] == ["1", "3", "5"]
    faults = broken(parts)
    assert {fault["reason"] for fault in faults} == {DropReason.ROW_TOO_LONG}
    assert [fault["offset"] for fault in faults] == [data.index(b'<row Id="2"'), data.index(b'<row Id="4"')]


def test_a_missing_quote_does_not_fill_the_memory():
    data = write(b'<row Id="1" Body="' + b"z" * 300_000)
    (fault,) = broken(read(data, block=1000, max_row_bytes=5000))
    assert fault["reason"] == DropReason.ROW_TOO_LONG
    assert len(fault["row"]) < 8000


def test_a_body_of_20_mb_passes():
    body = b"abcdefghij" * 2_000_000
    parts = read(write(row(1), row(2, body), row(3)), block=1 << 20, max_row_bytes=64 << 20)
    assert [(number, len(text or "")) for number, text in sound(parts)] == [("1", 4), ("2", len(body)), ("3", 4)]


def test_every_cut_of_a_file_is_noticed():
    data = write(row(1), row(2, b"a&gt;b"), row(3))
    for end in range(data.index(b"<row") + 4, len(data) - 1):
        parts = read(data[:end])
        (fault,) = broken(parts)
        assert fault["reason"] == DropReason.TRUNCATED
        assert len(sound(parts)) == data[:end].count(b"/>")


def test_absent_attributes_are_null_and_empty_ones_are_not():
    assert sound(read(write(b'<row Id="1" />', b'<row Id="2" Body="" Other="&what;" />'))) == [("1", None), ("2", "")]


def test_a_caller_can_refuse_rows_after_a_broken_one():
    data = write(row(1), b'<row Id="2" Body="\xff" />', row(3), row(4))
    (part,) = read(data)
    refused = pl.DataFrame({"row": [1], "reason": ["bad_attribute"], "ref": ["3"], "detail": ["no 3 wanted"]})
    (fault,) = part.quarantine(refused.with_columns(pl.col("row").cast(pl.UInt32))).to_pylist()
    assert (fault["offset"], fault["ref"]) == (data.index(b'<row Id="3"'), "3")


def test_find_rows_finds_each():
    assert find_rows(b"<row/>  <row/>").tolist() == [0, 8]
    assert find_rows(b"").dtype == np.int64


BAD_HEADS = {
    b"": "is empty",
    b"  \r\n": "is empty",
    b"<?xml version='1.0'?><posts>": "<posts>",
    b"<!DOCTYPE things [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><things>": "!DOCTYPE",
    b"<?xml version='1.0'?>\n<!-- x --><!DOCTYPE things SYSTEM 'file:///etc/passwd'><things>": "!DOCTYPE",
    "<?xml version='1.0'?><things>".encode("utf-16"): "UTF-8",
    b"<?xml version='1.0' encoding='latin-1'?><things>": "another encoding",
    b"<?xml version='1.0'?><things>\r\n  <r": "ends before its first row",
    b"7z\xbc\xaf\x27\x1c": "UTF-8 XML",
    b" " * (HEAD_BYTES - 1) + b"x": "UTF-8 XML",
}


@pytest.mark.parametrize("head", BAD_HEADS, ids=lambda head: repr(head[:40]))
def test_a_file_that_is_not_the_table_is_refused(head):
    with pytest.raises(InputError, match=BAD_HEADS[head]):
        check_head(head, LAYOUT)


@pytest.mark.parametrize(
    "head",
    [
        b"<things></things>\n",
        b"<things><row",
        b"\xef\xbb\xbf<?xml version='1.0' encoding=\"utf-8\"?>\n<!-- a --><things />",
    ],
)
def test_a_table_is_accepted(head):
    check_head(head, LAYOUT)
