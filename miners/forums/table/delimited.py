"""CSV and TSV (RFC 4180): fields in quotes may hold separators and line ends, so a file is one slice.

A line end counts where an even number of quotes stands before it. Records with as many separators as the head go to the
fast reader (polars) all at once; the others are read one by one, which saves what a stray quote has glued together.
An empty field is null, in quotes or not.
"""

import csv
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from miners.formats.rows import EXCERPT_CHARS, Rows
from miners.formats.streams import DamageError, measure_file, stream_file
from miners.source import Slice
from schemas.drops import DROP, DropReason
from schemas.errors import InputError

if TYPE_CHECKING:
    from _csv import Reader

_EXPECTED = "CSV in UTF-8 whose first line names the columns"
_CHUNK_BYTES = 8 << 20  # at most: larger pieces fall out of the processor's caches
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How fields are parted: by `separator`, and within `quote` (which may be empty: none) not at all."""

    separator: str
    quote: str
    max_row_bytes: int = 64 << 20


def describe(path: str, dialect: Dialect) -> dict[str, pl.DataType]:
    """Say which columns a file has, all of them texts; raises InputError."""
    return dict.fromkeys(_read_head(path, dialect)[0], pl.String())


def cut(path: str) -> list[Slice]:
    """Make one slice of a file; raises InputError where it is missing, empty or not compressed as its name says."""
    size = measure_file(path, _EXPECTED)
    return [Slice("posts", path, None, 0, size, size)]


def read(part: Slice, dialect: Dialect, fields: Mapping[str, pl.DataType], chunk_bytes: int) -> Iterator[Rows]:
    """Read a file, about `chunk_bytes` at a time; `offset` is the byte at which a record begins."""
    names, start = _read_head(part.path, dialect)
    reader = _Reader(part.path, dialect, tuple(names), tuple(fields))
    with closing(stream_file(part.path)) as blocks:
        for chunk in _cut(blocks, start, dialect, min(chunk_bytes, _CHUNK_BYTES)):
            yield reader.read(chunk)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Whole records, and the offset of the first; or, with a `fault`, one that is not whole."""

    data: bytes
    base: int
    fault: DropReason | None = None


def _read_head(path: str, dialect: Dialect) -> tuple[list[str], int]:
    """Read the names of the columns, and say where the first record begins."""
    measure_file(path, _EXPECTED)
    try:
        with closing(stream_file(path)) as blocks:
            head = next(_cut(blocks, 0, dialect, 1), _Chunk(b"", 0))
    except DamageError as error:
        raise InputError(path, str(error), _EXPECTED) from None
    ends = _find(head.data, "\n", _find_inside(head.data, dialect))
    end = int(ends[0]) + 1 if len(ends) else len(head.data)
    try:
        names: list[str] = next(_parse([head.data[:end].removeprefix(_BOM).decode()], dialect), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"its first line cannot be read ({error})", _EXPECTED) from None
    wrong = next((name for name in names if not name or names.count(name) > 1), None)
    if wrong is not None or not names:
        raise InputError(path, f"two columns are named `{wrong}`" if wrong else "a column has no name", _EXPECTED)
    return names, end


def _cut(blocks: Generator[bytes, None, None], start: int, dialect: Dialect, chunk_bytes: int) -> Iterator[_Chunk]:
    """Cut what stands behind the byte `start` of a stream between its records."""
    held, base, wanted, more = bytearray(), 0, chunk_bytes, True
    damage = None
    while more:
        try:
            held += (block := next(blocks, b""))
            more = bool(block)
        except DamageError as error:
            more, damage = False, error
        if base < start:
            skipped = min(start - base, len(held))
            base += skipped
            del held[:skipped]
        if more and len(held) < wanted:
            continue
        ends = _find(bytes(held), "\n", _find_inside(held, dialect))
        size = int(ends[-1]) + 1 if len(ends) else 0
        if size:
            yield _Chunk(bytes(held[:size]), base)
        elif len(held) > dialect.max_row_bytes:  # perhaps for a quote that nobody closes: go on behind the next line
            size = held.find(b"\n") + 1 or len(held)
            yield _Chunk(bytes(held[:size]), base, DropReason.ROW_TOO_LONG)
        base += size
        del held[:size]
        wanted = chunk_bytes if size else 2 * len(held)  # so that a long record is not searched again and again
    if held or damage:
        yield _Chunk(bytes(held), base, DropReason.TRUNCATED if damage else None)


def _find_inside(data: bytes | bytearray, dialect: Dialect) -> npt.NDArray[np.bool_] | None:
    """Say of each byte whether it stands inside quotes; None where there are no quotes at all."""
    if not dialect.quote or dialect.quote.encode() not in data:
        return None
    quotes = np.frombuffer(bytes(data), np.uint8) == ord(dialect.quote)
    return np.bitwise_xor.accumulate(quotes.view(np.uint8)).view(np.bool_)


def _find(data: bytes, character: str, inside: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.int64]:
    found = np.frombuffer(data, np.uint8) == ord(character)
    return np.flatnonzero(found if inside is None else found & ~inside)


def _parse(lines: list[str], dialect: Dialect) -> "Reader":
    if not dialect.quote:
        return csv.reader(lines, delimiter=dialect.separator, quoting=csv.QUOTE_NONE, strict=True)
    return csv.reader(lines, delimiter=dialect.separator, quotechar=dialect.quote, strict=True)


@dataclass(frozen=True, slots=True)
class _Spans:
    """Where the records of a chunk begin and end, and which of them are `plain`: as the head wants them, and closed."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    plain: npt.NDArray[np.bool_]
    blank: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Found:
    """What the slow way has found: records with their offsets, and DROP rows."""

    offsets: list[int]
    records: list[list[str | None]]
    broken: list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the chunks of a file with columns `names`, of which `wanted` are kept."""

    file: str
    dialect: Dialect
    names: tuple[str, ...]
    wanted: tuple[str, ...]

    def read(self, chunk: _Chunk) -> Rows:
        """Read a chunk, and set apart the records that cannot be read."""
        if chunk.fault:
            return Rows(self._frame([], []), self._list_broken([self._refuse(chunk)]), self.file)
        spans = self._find_spans(chunk.data)
        plain = spans.plain
        frame = self._read_fast(chunk, spans)
        if frame is None:
            frame, plain = self._frame([], []), np.zeros_like(plain)
        left = np.flatnonzero(~plain & ~spans.blank)
        if not len(left):
            return Rows(frame, DROP.empty_table(), self.file)
        found = _Found([], [], [])
        for low, high in zip(spans.starts[left].tolist(), spans.ends[left].tolist(), strict=True):
            self._read_slowly(_Chunk(chunk.data[low:high], chunk.base + low), found)
        both = pl.concat([frame, self._frame(found.offsets, found.records)]).sort("offset")
        return Rows(both, self._list_broken(found.broken), self.file)

    def _find_spans(self, data: bytes) -> _Spans:
        inside = _find_inside(data, self.dialect)
        ends = _find(data, "\n", inside) + 1
        ends = ends if len(ends) and ends[-1] == len(data) else np.append(ends, len(data))
        starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
        separators = np.searchsorted(_find(data, self.dialect.separator, inside), ends)
        first, sizes = np.frombuffer(data, np.uint8)[starts], ends - starts
        blank = (sizes <= 2) & ((first == ord("\n")) | (first == ord("\r")))  # noqa: PLR2004 - a line end at most
        plain = (np.diff(separators, prepend=0) == len(self.names) - 1) & ~blank & (sizes <= self.dialect.max_row_bytes)
        plain[-1] &= inside is None or not inside[-1]
        return _Spans(starts, ends, plain, blank)

    def _read_fast(self, chunk: _Chunk, spans: _Spans) -> pl.DataFrame | None:
        """Read all plain records at once; None where they are not what they seem."""
        if not spans.plain.any():
            return self._frame([], [])
        data = chunk.data
        if not spans.plain.all():
            data = np.frombuffer(data, np.uint8)[np.repeat(spans.plain, spans.ends - spans.starts)].tobytes()
        try:
            frame = pl.read_csv(
                data,
                has_header=False,
                schema=dict.fromkeys(self.names, pl.String()),
                separator=self.dialect.separator,
                quote_char=self.dialect.quote or None,
            )
        except pl.exceptions.PolarsError:
            return None
        if frame.height != spans.plain.sum():
            return None
        texts = (pl.when(pl.col(name) != "").then(pl.col(name)) for name in self.wanted)
        return frame.select(pl.Series("offset", chunk.base + spans.starts[spans.plain]), *texts)

    def _read_slowly(self, chunk: _Chunk, found: _Found) -> None:
        """Read what looks like one record by the standard library; where that fails, each of its lines alone."""
        try:
            text = chunk.data.decode()
        except UnicodeDecodeError as error:
            found.broken.append(self._refuse(chunk, DropReason.INVALID_UTF8, str(error)))
            return
        lines = [f"{line}\n" for line in text.split("\n")]
        marks = list(accumulate((len(line.encode()) for line in lines), initial=chunk.base))
        for number in range(self._take_lines(lines, chunk.base, found), len(lines)):
            self._take_lines([lines[number]], marks[number], found)

    def _take_lines(self, lines: list[str], base: int, found: _Found) -> int:
        """Read lines up to the first that cannot be read, which is refused; says how many lines that were."""
        parsed, at, offset = _parse(lines, self.dialect), 0, base
        try:
            for record in parsed:
                raw = "".join(lines[at : parsed.line_num]).encode()
                if len(record) == len(self.names):
                    found.offsets.append(offset)
                    found.records.append([value or None for value in record])
                elif record:
                    fields = f"it has {len(record)} fields, and the head has {len(self.names)}"
                    found.broken.append(self._refuse(_Chunk(raw, offset), DropReason.MALFORMED_ROW, fields))
                at, offset = parsed.line_num, offset + len(raw)
        except csv.Error as error:
            line = _Chunk(lines[at].encode(), offset)
            found.broken.append(self._refuse(line, DropReason.MALFORMED_ROW, str(error)))
            return at + 1
        return len(lines)

    def _frame(self, offsets: list[int], records: list[list[str | None]]) -> pl.DataFrame:
        texts = pl.DataFrame(records, dict.fromkeys(self.names, pl.String()), orient="row")
        return texts.select(pl.Series("offset", offsets, pl.Int64), *self.wanted)

    def _refuse(self, chunk: _Chunk, reason: DropReason | None = None, detail: str = "") -> dict[str, object]:
        words = {
            DropReason.ROW_TOO_LONG: f"it is longer than {self.dialect.max_row_bytes:,} bytes",
            DropReason.TRUNCATED: "the file ends inside it, or cannot be decompressed any further",
        }
        row = chunk.data[:EXCERPT_CHARS].decode("utf-8", "replace").rstrip("\r\n")
        detail = words[chunk.fault] if chunk.fault else detail
        return {
            "reason": str(chunk.fault or reason),
            "file": self.file,
            "offset": chunk.base,
            "detail": detail,
            "row": row,
        }

    @staticmethod
    def _list_broken(broken: list[dict[str, object]]) -> pa.Table:
        return pa.Table.from_pylist(broken, schema=DROP)
