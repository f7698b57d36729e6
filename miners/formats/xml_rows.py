r"""Tables written as XML rows: `<root><row A="..." B="..." /> ...</root>`, any number of gigabytes.

A raw `<` cannot stand inside an attribute's value, so a row begins at `<row` and ends where the next one begins. That
lets a file be cut anywhere: a row belongs to the byte range in which it begins.

A chunk of whole rows is parsed at once (xml2arrow: Rust, to Arrow, without entity expansion). Where the parser refuses
a chunk, or the chunk holds text that belongs to no row, it is halved until the bad rows stand alone. Both ways end in
the same test of the same parser, so the neighbours of a row never change what becomes of it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from xml2arrow import XmlToArrowParser
from xml2arrow.exceptions import Xml2ArrowError

from schemas.drops import DROP, DropReason
from schemas.errors import InputError

HEAD_BYTES = 1 << 16
"""How much of a file's start `check_head` needs."""

EXCERPT_BYTES = 1 << 16
"""How much of a broken row is kept in the quarantine."""

_CHUNK_BYTES = 8 << 20  # at most: larger pieces fall out of the processor's caches, and cost a fifth of the speed
_ROW = b"<row"
_SLACK = 1 << 10  # what may follow the last row: white space and the root's closing tag

# One or more rows and nothing else. The groups are atomic, so that matching is linear and never backtracks.
_ROWS = re.compile(
    rb"""(?>\s*<row(?>\s*[\w:.-]+\s*=\s*(?>"[^"<]*"|'[^'<]*'))*+\s*(?:/>|>\s*</row\s*>))*+\s*""",
)
_HEAD = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*+(?:<\?xml(?P<declared>[^>]*)\?>)?(?:\s|<!--.*?-->)*+<(?P<root>!?[\w:.-]+)",
    re.DOTALL,
)
_CLOSED = re.compile(rb"(?:/|</[\w:.-]+\s*)>\s*\Z")
_ENCODING = re.compile(rb"""encoding\s*=\s*["'](?!utf-?8["']|us-ascii["'])""", re.IGNORECASE)

# XML 1.0 (5th edition), section 2.2: tab, line feed and carriage return are the only control characters allowed.
_FORBIDDEN = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{fffe}\x{ffff}]"
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_CHARACTERS = (range(0x9, 0xB), range(0xD, 0xE), range(0x20, 0xD800), range(0xE000, 0xFFFE), range(0x10000, 0x110000))
_REFERENCE = re.compile(rb"&#(?:x([0-9a-fA-F]+)|([0-9]+));")
_BEGUN = re.compile(rb"<(?:/\w*|ro?)?\Z")  # a tag of which the file holds too little to be a row's
_ENTITY = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z_][\w.-]*;")


_REFUSED = {"row": pl.Int64, "reason": pl.String, "ref": pl.String, "detail": pl.String}


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of one table are written.

    file: name of the file in messages and in the quarantine.
    root: name of the root element.
    attributes: those to read; the others are skipped.
    max_row_bytes: a longer row is refused, so that one missing quote cannot fill the memory.
    """

    file: str
    root: str
    attributes: tuple[str, ...]
    max_row_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole rows, and the offset of the first in the stream.

    fault: ROW_TOO_LONG where the chunk is only the beginning of such a row; TRUNCATED where the stream ended after it
        without the root's closing tag.
    """

    data: bytes
    offset: int
    fault: DropReason | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one chunk: `table` holds the sound ones in their order, `broken` (DROP) all the others.

    numbers: for each row of `table`, its number in the chunk; None where they simply count up.
    """

    table: pa.Table
    broken: pa.Table
    chunk: Chunk
    layout: Layout
    numbers: npt.NDArray[np.int64] | None = None

    def quarantine(self, refused: pl.DataFrame) -> pa.Table:
        """Make DROP rows of `refused`: the columns `row` (number in `table`), `reason`, `ref` and `detail`."""
        if self.numbers is not None:
            refused = refused.with_columns(row=self.numbers[refused["row"].to_numpy()])
        return _describe(self.chunk, self.layout, refused)


def check_head(head: bytes, layout: Layout) -> None:
    """Raise InputError unless `head`, the first HEAD_BYTES of a file, begins the table that the layout names.

    A document type is refused whatever it says: it is the only place where XML declares entities, and a table has no
    need of one.
    """
    expected = f"a UTF-8 XML file that begins with <{layout.root}>"
    if not head.strip():
        raise InputError(layout.file, "the file is empty", expected)
    match = _HEAD.match(head)
    if match is None:
        raise InputError(layout.file, "it does not begin as UTF-8 XML does", expected)
    if _ENCODING.search(match["declared"] or b""):
        raise InputError(layout.file, "it declares another encoding", expected)
    root = match["root"].decode("ascii", "replace")
    if root.startswith("!"):
        raise InputError(layout.file, f"it holds a <{root}> declaration, which is refused", expected)
    if root != layout.root:
        raise InputError(layout.file, f"it holds the table <{root}>", expected)
    if len(head) < HEAD_BYTES and _ROW not in head and not _CLOSED.search(head):
        raise InputError(layout.file, "it ends before its first row", expected)


def read_rows(
    blocks: Iterable[bytes], span: tuple[int, int], layout: Layout, chunk_bytes: int = 32 << 20
) -> Iterator[Rows]:
    """Read the rows that begin in the byte range `span`, about `chunk_bytes` (but no more than 8 MiB) at a time.

    blocks: the stream's bytes from the range's start on, in pieces of any size, to the end of the stream or until no
    more are asked for.
    """
    for chunk in cut_chunks(blocks, span, layout, min(chunk_bytes, _CHUNK_BYTES)):
        yield parse_chunk(chunk, layout)


def cut_chunks(blocks: Iterable[bytes], span: tuple[int, int], layout: Layout, chunk_bytes: int) -> Iterator[Chunk]:
    """Cut a stream between its rows. Holds at most a chunk, a block and a row."""
    (base, end), held, scanned, last = span, bytearray(), 0, -1
    # held[0] stands at `base`; up to `scanned` no row is left to find; `last` is the last row seen, -1 before any
    for block in blocks:
        held += block
        if last < 0:
            first = held.find(_ROW)
            skipped = first if first >= 0 else max(len(held) - len(_ROW) + 1, 0)
            base += skipped
            del held[:skipped]
            if base >= end:
                return
            if first < 0:
                continue
            last, scanned = 0, len(_ROW)
        beyond = held.find(_ROW, max(end - base, scanned))
        if beyond >= 0:
            yield Chunk(bytes(held[:beyond]), base)
            return
        last = max(last, held.rfind(_ROW, scanned))
        scanned = max(len(held) - len(_ROW) + 1, len(_ROW))
        too_long = len(held) - last > layout.max_row_bytes + _SLACK
        if last > 0 and (too_long or len(held) >= chunk_bytes):
            yield Chunk(bytes(held[:last]), base)
            base, scanned = base + last, max(scanned - last, len(_ROW))
            del held[:last]
            last = 0
        if too_long:
            yield Chunk(bytes(held[:EXCERPT_BYTES]), base, DropReason.ROW_TOO_LONG)
            base, scanned, last = base + scanned, 0, -1
            del held[: len(held) - len(_ROW) + 1]
    if last >= 0:
        yield _cut_last(bytes(held), base, layout.root)


def _cut_last(data: bytes, base: int, root: str) -> Chunk:
    """Take the closing tag off the stream's last chunk, or note that it is not there or not whole."""
    tail = max(len(data) - _SLACK, 0)
    if closing := re.compile(rb"</%b\s*>\s*\Z" % root.encode()).search(data, tail):
        return Chunk(data[: closing.start()], base)
    begun = _BEGUN.search(data, tail)
    return Chunk(data[: begun.start()] if begun else data, base, DropReason.TRUNCATED)


def parse_chunk(chunk: Chunk, layout: Layout) -> Rows:
    """Read a chunk's rows, and set apart those that cannot be read."""
    sound = len(chunk.data) <= layout.max_row_bytes and chunk.fault != DropReason.ROW_TOO_LONG
    batch = _parse(chunk.data, layout) if sound else None
    if batch is None:
        return _set_apart_forbidden(_salvage(chunk, layout))
    broken = _mark_truncated(chunk, layout) if chunk.fault else DROP.empty_table()
    return _set_apart_forbidden(Rows(pa.Table.from_batches([batch]), broken, chunk, layout))


def find_rows(data: bytes) -> npt.NDArray[np.int64]:
    """Say where each row of a chunk begins."""
    return np.fromiter((match.start() for match in re.finditer(_ROW, data)), dtype=np.int64)


@cache
def _parser(root: str, attributes: tuple[str, ...]) -> XmlToArrowParser:
    """Build the parser of a table; it takes its configuration from a file only, and reads it at once."""
    fields = "\n".join(
        f"      - {{name: {name}, xml_path: /{root}/row/@{name}, data_type: Utf8, nullable: true}}"
        for name in attributes
    )
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows.yaml")
        path.write_text(f"tables:\n  - name: rows\n    xml_path: /{root}\n    levels: []\n    fields:\n{fields}\n")
        return XmlToArrowParser(path)


def _parse_or_raise(data: bytes, layout: Layout) -> pa.RecordBatch:
    root = layout.root.encode()
    parser = _parser(layout.root, layout.attributes)
    try:
        return parser.parse(b"".join((b"<", root, b">", data, b"</", root, b">")))["rows"]
    except TypeError as error:  # how xml2arrow 0.19 reports bytes that are not UTF-8
        raise Xml2ArrowError("not UTF-8") from error


def _parse(data: bytes, layout: Layout) -> pa.RecordBatch | None:
    """Read rows; None where one of them is broken, or where there is more than rows."""
    try:
        batch = _parse_or_raise(data, layout)
    except Xml2ArrowError:
        return None
    return batch if _is_all_rows(data, batch.num_rows) else None


def _is_all_rows(data: bytes, rows: int) -> bool:
    """Tell whether `data`, in which the parser found `rows` rows, is rows and white space only.

    Writers that escape `>` and put the same white space between all rows, as Stack Exchange does, are answered by
    counting, which is some twenty times faster than the regular expression.
    """
    if data.count(b"<") == rows == data.count(b">") and data[-_SLACK:].rstrip().endswith(b"/>"):
        end = data.find(b">")
        joint = data[end : data.find(_ROW, end) + len(_ROW)] if rows > 1 else b""
        if rows == 1 or (not joint[1 : -len(_ROW)].strip() and data.count(joint) == rows - 1):
            return True
    return rows == data.count(_ROW) and _ROWS.fullmatch(data) is not None


def _salvage(chunk: Chunk, layout: Layout) -> Rows:
    """Halve a chunk until its broken rows stand alone."""
    data, starts = chunk.data, find_rows(chunk.data)
    bounds = np.append(starts, len(data))
    too_long = chunk.fault == DropReason.ROW_TOO_LONG
    long = [0] if too_long else np.flatnonzero(np.diff(bounds) > layout.max_row_bytes).tolist()
    todo = [(low + 1, high) for low, high in pairwise([-1, *long, 1 if too_long else len(starts)]) if low + 1 < high]
    whole: list[tuple[int, int, pa.RecordBatch]] = []
    broken = dict.fromkeys(long, (DropReason.ROW_TOO_LONG, f"longer than {layout.max_row_bytes:,} bytes"))
    while todo:
        low, high = todo.pop()
        raw = data[bounds[low] : bounds[high]]
        batch = _parse(raw, layout)
        if batch is not None:
            whole.append((low, high, batch))
        elif high - low > 1:
            middle = (low + high) // 2
            todo += [(low, middle), (middle, high)]
        else:
            cut_off = chunk.fault == DropReason.TRUNCATED and high == len(starts)
            broken[low] = (DropReason.TRUNCATED, "the file ends inside the row") if cut_off else _diagnose(raw, layout)
    return _assemble(chunk, layout, whole, broken)


def _assemble(
    chunk: Chunk,
    layout: Layout,
    whole: list[tuple[int, int, pa.RecordBatch]],
    broken: dict[int, tuple[DropReason, str]],
) -> Rows:
    """Put the parts of a halved chunk together again, in their order."""
    whole.sort(key=lambda part: part[0])
    schema = _parser(layout.root, layout.attributes).schema("rows")
    table = pa.Table.from_batches([batch for _, _, batch in whole], schema=schema).combine_chunks()
    numbers = np.concatenate([np.arange(low, high) for low, high, _ in whole] or [np.empty(0, np.int64)])
    faults = [(number, str(reason), None, detail) for number, (reason, detail) in sorted(broken.items())]
    drops = _describe(chunk, layout, pl.DataFrame(faults, _REFUSED, orient="row"))
    if chunk.fault == DropReason.TRUNCATED and DropReason.TRUNCATED not in {reason for reason, _ in broken.values()}:
        drops = pa.concat_tables([drops, _mark_truncated(chunk, layout)])
    return Rows(table, drops, chunk, layout, numbers)


def _describe(chunk: Chunk, layout: Layout, refused: pl.DataFrame) -> pa.Table:
    """Make DROP rows: where each refused row stands in the stream, and how it begins."""
    if refused.is_empty():
        return DROP.empty_table()
    starts = np.append(find_rows(chunk.data), len(chunk.data))
    numbers = refused["row"].to_numpy()
    spans = zip(starts[numbers].tolist(), starts[numbers + 1].tolist(), strict=True)
    texts = [chunk.data[low : min(high, low + EXCERPT_BYTES)].decode("utf-8", "replace") for low, high in spans]
    offsets = pl.Series(chunk.offset + starts[numbers])
    table = refused.select(
        "reason", "ref", file=pl.lit(layout.file), offset=offsets, detail="detail", row=pl.Series(texts)
    )
    return table.to_arrow().cast(DROP)


def _mark_truncated(chunk: Chunk, layout: Layout) -> pa.Table:
    """Stand for the rows that a file lost which ends between two rows: nobody can count them."""
    detail = f"the file ends without </{layout.root}>; rows may be missing"
    mark = {"reason": DropReason.TRUNCATED, "file": layout.file, "offset": chunk.offset + len(chunk.data)}
    return pa.Table.from_pylist([{**mark, "detail": detail, "row": ""}], schema=DROP)


def _diagnose(raw: bytes, layout: Layout) -> tuple[DropReason, str]:
    """Say what is wrong with a row that the parser refuses."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return DropReason.INVALID_UTF8, str(error)
    if control := _CONTROL.search(raw) or next(filter(_is_forbidden, _REFERENCE.finditer(raw)), None):
        return DropReason.CONTROL_CHARACTER, f"{control[0]!r} at byte {control.start()} of the row"
    if entity := _ENTITY.search(raw):
        return DropReason.UNKNOWN_ENTITY, f"{entity[0].decode()} at byte {entity.start()} of the row"
    try:
        _parse_or_raise(raw, layout)
    except Xml2ArrowError as error:
        return DropReason.MALFORMED_ROW, str(error)
    return DropReason.MALFORMED_ROW, "there is text that belongs to no row"


def _is_forbidden(reference: re.Match[bytes]) -> bool:
    """Tell whether a character reference names a character that XML forbids."""
    digits, base = (reference[1], 16) if reference[1] else (reference[2], 10)
    code = int(digits.lstrip(b"0")[:8] or b"0", base)  # eight digits are beyond the last character in either base
    return not any(code in span for span in _CHARACTERS)


def _set_apart_forbidden(rows: Rows) -> Rows:
    """Quarantine rows with characters that XML forbids: the parser lets most of them through."""
    if not any(_may_hold_forbidden(column) for column in rows.table.columns):
        return rows
    frame = pl.DataFrame(rows.table)
    mask = frame.select(pl.any_horizontal(pl.all().str.contains(_FORBIDDEN).fill_null(value=False))).to_series()
    refused = pl.DataFrame({"row": mask.arg_true()}).select(
        "row",
        reason=pl.lit(str(DropReason.CONTROL_CHARACTER)),
        ref=pl.lit(None, pl.String),
        detail=pl.lit("a character that XML forbids, raw or as a reference"),
    )
    keep = (~mask).to_numpy()
    kept_numbers = np.flatnonzero(keep) if rows.numbers is None else rows.numbers[keep]
    broken = pa.concat_tables([rows.broken, rows.quarantine(refused)])
    return Rows(rows.table.filter(pa.array(keep)), broken, rows.chunk, rows.layout, kept_numbers)


def _may_hold_forbidden(column: pa.ChunkedArray) -> bool:
    """Look through a column's bytes at memory speed; the exact test is row by row and ten times slower."""
    for chunk in column.chunks:
        if len(chunk) == 0 or (buffer := chunk.buffers()[2]) is None:
            continue
        text = np.frombuffer(buffer, np.uint8)
        low = text[text < 0x20]  # noqa: PLR2004 - the space, the first character that is no control
        if not np.isin(low, (0x9, 0xA, 0xD)).all():
            return True
        noncharacters = np.flatnonzero(text[:-2] == 0xEF)  # noqa: PLR2004 - U+FFFE is EF BF BE in UTF-8
        if ((text[noncharacters + 1] == 0xBF) & (text[noncharacters + 2] >= 0xBE)).any():  # noqa: PLR2004
            return True
    return False
