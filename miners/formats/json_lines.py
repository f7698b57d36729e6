r"""JSON lines, plain or compressed, any number of gigabytes: one object a line, of which declared fields are read.

A plain file is cut anywhere, and a line belongs to the byte range in which it begins; a compressed one is streamed. A
chunk of whole lines is parsed at once (polars, on simd-json). Where the parser refuses a chunk it is halved until the
bad lines stand alone. Both ways end in the same test of the same parser, so the neighbours of a line never change what
becomes of it.

A field declared as text takes any value as its JSON text (`123` is "123", `false` is "false"): a field that is now
text, now a number costs nothing. Numbers come in their shortest form (`5.0` is "5"). Of a key that stands twice in an
object the first counts. Half a surrogate pair (`\ud83d` alone), which is no character, becomes U+FFFD; `\u0000` stays.
"""

import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl
import pyarrow as pa

from miners.formats.streams import DamageError, compression_of, measure_file, stream_file
from miners.source import Slice
from schemas.drops import DROP, DropReason
from schemas.errors import InputError

EXCERPT_BYTES = 1 << 16
"""How much of a broken line is kept in the quarantine."""

CHUNK_BYTES = 8 << 20
"""The most that is parsed at once: larger pieces fall out of the processor's caches."""

_EXPECTED = "JSON lines (one object a line), plain or as .zst, .gz, .bz2 or .xz"
_HEAD_BYTES = 1 << 16
_UNKNOWN_END = 1 << 62  # of a stream whose length nobody knows before it is read
_RATIO = 8  # how much a compressed dump unpacks to, roughly; only progress and the number of partitions rest on it

_BOM = b"\xef\xbb\xbf"
_BEGINNINGS = b"{ \t\r"
_OBJECT = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|\n)[ \t\r]*\{")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f]")
_SURROGATE = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?P<low>\\u[dD][c-fC-F][0-9a-fA-F]{2})?|[c-fC-F][0-9a-fA-F]{2})"
)
_REPLACEMENT = rb"\ufffd"  # as long as what it replaces: offsets stay
_REFUSED = {"offset": pl.Int64, "reason": pl.String, "ref": pl.String, "detail": pl.String}

_Numbers = npt.NDArray[np.int64]
_Fields = Mapping[str, pl.DataType]
_Blocks = Generator[bytes, None, None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines, and the offset of the first in the uncompressed stream.

    fault: ROW_TOO_LONG where the chunk is only the beginning of such a line; TRUNCATED where the stream ends after it,
        or inside its last line.
    damage: why the stream ends too early; empty where it does not.
    """

    data: bytes
    offset: int
    fault: DropReason | None = None
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """The files of which a stream is made, one behind another; mostly it is one.

    starts: byte of the stream at which each file begins.
    """

    files: Sequence[str]
    starts: Sequence[int] = (0,)

    def locate(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Say in which `file` rows stand, and make of their `offset` in the stream that in the file."""
        offsets, starts = rows["offset"].to_numpy(), np.asarray(self.starts)
        at = np.searchsorted(starts, offsets, side="right") - 1
        names = [os.fsencode(file).decode("utf-8", "replace") for file in self.files]  # a name on disk is any bytes
        file = pl.Series("file", names, pl.String).gather(at)
        return rows.with_columns(file, pl.Series("offset", offsets - starts[at], pl.Int64))


@dataclass(frozen=True, slots=True)
class Lines:
    """The sound rows of one chunk.

    frame: the declared fields, each of its declared type; and `offset`, the byte of the line in the uncompressed
        stream.
    broken: DROP rows of the lines that could not be read.
    origin: where they stand.
    """

    frame: pl.DataFrame
    broken: pa.Table
    origin: Origin
    _chunk: Chunk

    @property
    def file(self) -> str:
        """The file, or the first of several."""
        return self.origin.files[0]

    def quarantine(self, refused: pl.DataFrame) -> pa.Table:
        """Make DROP rows of `refused`: the columns `offset`, `reason`, `ref` and `detail`."""
        return _describe(self._chunk, self.origin, refused)


def cut_file(path: str, table: str, slice_bytes: int) -> list[Slice]:
    """Cut a file into slices: a plain one into byte ranges, a compressed one into a single slice.

    Raises InputError where it is missing or empty, is not compressed as its name says, or does not begin as JSON lines
    do.
    """
    size = measure_file(path, _EXPECTED)
    _check_head(path)
    if compression_of(path):
        return [Slice(table, path, None, 0, _UNKNOWN_END, size * _RATIO)]
    bounds = [*range(0, size, slice_bytes), size]
    return [Slice(table, path, None, low, high, high - low) for low, high in pairwise(bounds)]


def _check_head(path: str) -> None:
    """Raise InputError unless one of the first lines begins an object."""
    head = b""
    with closing(stream_file(path)) as blocks:
        try:
            for block in blocks:
                head += block
                if len(head) >= _HEAD_BYTES:
                    break
        except DamageError as error:
            if not head:
                raise InputError(path, str(error), _EXPECTED) from error
    if not head.strip():
        raise InputError(path, "there is nothing in it", _EXPECTED)
    if not _OBJECT.search(head[:_HEAD_BYTES]):
        raise InputError(path, f"it begins with {head[:20]!r}, and no line of its beginning is an object", _EXPECTED)


def read_lines(
    part: Slice,
    fields: _Fields,
    *,
    chunk_bytes: int,
    max_line_bytes: int = 64 << 20,
    reshape: Callable[[_Blocks], _Blocks] | None = None,
) -> Iterator[Lines]:
    """Read the lines that begin in a slice, about `chunk_bytes` (but no more than 8 MiB) at a time.

    fields: keys of the objects to read, and their types; all others are skipped, and what is absent is null.
    max_line_bytes: a longer line is quarantined without being held whole, so that none can fill the memory.
    reshape: makes lines of a stream that holds none, byte for byte, so that offsets stay.
    """
    cutter = _Cutter(part.start, part.end, min(chunk_bytes, CHUNK_BYTES), max_line_bytes)
    with closing(stream_file(part.path, max(part.start - 1, 0))) as blocks:
        for chunk in cutter.cut(reshape(blocks) if reshape else blocks):
            yield parse_chunk(chunk, Origin([part.path]), fields, max_line_bytes)


@dataclass(slots=True)
class _Cutter:
    """Cuts a stream between its lines. Holds at most a chunk, a block and a line.

    start, end: a line belongs to the range in which it begins; the stream is given from the byte before `start` on.
    """

    start: int
    end: int
    chunk_bytes: int
    max_line_bytes: int
    base: int = 0  # where `held` begins in the stream
    held: bytearray = field(default_factory=bytearray)
    scanned: int = 0  # bytes of `held` in which no newline is left to find
    whole: int = 0  # bytes of `held` up to the last newline
    skips: bool = False  # whether `held` begins inside a line that is not ours, or too long

    def cut(self, blocks: Generator[bytes, None, None]) -> Iterator[Chunk]:
        """Cut the stream up to the end of the last line that begins before `end`."""
        self.base, self.skips = max(self.start - 1, 0), self.start > 0
        damage = ""
        try:
            for block in blocks:
                yield from self._take(block)
                if self.base >= self.end:
                    return
        except DamageError as error:
            damage = str(error)
        if self.held or damage:
            yield Chunk(bytes(self.held), self.base, DropReason.TRUNCATED, damage)

    def _take(self, block: bytes) -> Iterator[Chunk]:
        self.held += block
        if self.skips and not self._skip():
            return
        if self.base >= self.end:
            return
        last = self.held.find(b"\n", max(self.end - 1 - self.base, self.scanned)) + 1
        if last:
            yield from self._give(last)
            self.base = self.end
            return
        self.whole = self.held.rfind(b"\n", self.scanned) + 1 or self.whole
        self.scanned = len(self.held)
        too_long = len(self.held) - self.whole > self.max_line_bytes
        if too_long or len(self.held) >= self.chunk_bytes:
            yield from self._give(self.whole)
        if too_long:
            yield Chunk(bytes(self.held[: self.max_line_bytes + 1]), self.base, DropReason.ROW_TOO_LONG)
            self._forget(len(self.held))
            self.skips = True

    def _skip(self) -> bool:
        """Leave the rest of a line; tells whether it ended."""
        ended = self.held.find(b"\n") + 1
        self._forget(ended or len(self.held))
        self.skips = not ended
        return bool(ended)

    def _give(self, size: int) -> Iterator[Chunk]:
        if size:
            yield Chunk(bytes(self.held[:size]), self.base)
            self._forget(size)

    def _forget(self, size: int) -> None:
        del self.held[:size]
        self.base += size
        self.scanned, self.whole = max(self.scanned - size, 0), max(self.whole - size, 0)


@dataclass(frozen=True, slots=True)
class _Rows:
    """A chunk's text as it is parsed, and where each of its lines begins and ends; blank ones are left out."""

    data: bytes
    starts: _Numbers
    ends: _Numbers

    def parse(self, low: int, high: int, fields: _Fields) -> pl.DataFrame | None:
        """Read some lines; None where one of them is broken, or holds more than one object."""
        if low == high:
            return pl.DataFrame(schema=fields)
        text = self.data[self.starts[low] : self.ends[high - 1]]
        if text[0] not in _BEGINNINGS:  # polars would take it for compressed, and unpack it
            return None
        try:
            frame = pl.read_ndjson(text, schema=fields)
        except pl.exceptions.PolarsError:
            return None
        return frame if frame.height == high - low else None


def parse_chunk(chunk: Chunk, origin: Origin, fields: _Fields, max_line_bytes: int) -> Lines:
    """Read a chunk's lines, and set apart those that cannot be read."""
    rows = _find_rows(_mend_surrogates(_blank_mark(chunk)))
    long = np.flatnonzero(rows.ends - rows.starts > max_line_bytes).tolist()
    broken = dict.fromkeys(long, (DropReason.ROW_TOO_LONG, f"longer than {max_line_bytes:,} bytes"))
    parts: list[tuple[int, int, pl.DataFrame]] = []
    todo = [(low + 1, high) for low, high in pairwise([-1, *long, len(rows.starts)])]
    while todo:
        low, high = todo.pop()
        frame = rows.parse(low, high, fields)
        if frame is not None:
            offsets = pl.Series("offset", rows.starts[low:high] + chunk.offset, pl.Int64)
            parts.append((low, high, frame.with_columns(offsets)))
        elif high - low > 1:
            middle = (low + high) // 2
            todo += [(low, middle), (middle, high)]
        else:
            broken[low] = _diagnose(rows, low, chunk, fields)
    parts.sort(key=lambda part: part[:2])
    frame = pl.concat([part[2] for part in parts] or [pl.DataFrame(schema={**fields, "offset": pl.Int64})])
    return Lines(frame, _list_broken(chunk, origin, rows, broken, max_line_bytes), origin, chunk)


def _blank_mark(chunk: Chunk) -> bytes:
    """Put spaces for a byte-order mark: offsets stay."""
    marked = chunk.offset == 0 and chunk.data.startswith(_BOM)
    return b"   " + chunk.data[len(_BOM) :] if marked else chunk.data


def _mend_surrogates(data: bytes) -> bytes:
    """Put U+FFFD for halves of surrogate pairs, of which the parser makes NUL or an error."""
    text = np.frombuffer(data, np.uint8)
    escapes = np.flatnonzero(text[:-2] == ord("\\"))  # five times faster than to look for the three letters
    suspect = (text[escapes + 1] == ord("u")) & (text[escapes + 2] | 0x20 == ord("d"))
    return _SURROGATE.sub(_mend_surrogate, data) if suspect.any() else data


def _mend_surrogate(match: re.Match[bytes]) -> bytes:
    before = match.start()
    while before and match.string[before - 1] == ord("\\"):
        before -= 1
    is_text = (match.start() - before) % 2 == 1  # the backslash itself is escaped, and `ud83d` is five letters
    if match["low"]:
        return match[0][: len(_REPLACEMENT)] + _REPLACEMENT if is_text else match[0]
    return match[0] if is_text else _REPLACEMENT


def _find_rows(data: bytes) -> _Rows:
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    if data and not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.append(0, ends[:-1] + 1)[: len(ends)]
    odd = np.flatnonzero(text[np.minimum(starts, len(data) - 1)] != ord("{")).tolist()
    blank = [row for row in odd if not data[starts[row] : ends[row]].strip(b" \t\r")]
    return _Rows(data, np.delete(starts, blank), np.delete(ends, blank))


def _diagnose(rows: _Rows, row: int, chunk: Chunk, fields: _Fields) -> tuple[DropReason, str]:
    """Say what is wrong with a line that the parser refuses."""
    raw = rows.data[rows.starts[row] : rows.ends[row]].rstrip(b"\r")
    if chunk.fault == DropReason.TRUNCATED and rows.ends[row] == len(rows.data):
        return DropReason.TRUNCATED, chunk.damage or "the file ends inside the line"
    try:
        raw.decode()
        value = orjson.loads(raw)
    except UnicodeDecodeError as error:
        return DropReason.INVALID_UTF8, str(error)
    except orjson.JSONDecodeError as error:
        if control := _CONTROL.search(raw):
            return DropReason.CONTROL_CHARACTER, f"{control[0]!r} at byte {control.start()} of the line"
        return DropReason.MALFORMED_ROW, str(error)
    return _diagnose_object(raw, fields) if isinstance(value, dict) else (DropReason.MALFORMED_ROW, "it is no object")


def _diagnose_object(raw: bytes, fields: _Fields) -> tuple[DropReason, str]:
    """Say which type a field of an object does not have."""
    try:
        pl.read_ndjson(raw, schema=fields)
    except pl.exceptions.PolarsError as error:
        return DropReason.BAD_ATTRIBUTE, str(error).partition("\n")[0]
    return DropReason.MALFORMED_ROW, "it cannot be read as one object"


def _list_broken(
    chunk: Chunk, origin: Origin, rows: _Rows, broken: Mapping[int, tuple[DropReason, str]], max_line_bytes: int
) -> pa.Table:
    """Make DROP rows of broken lines, and one for what the stream lost behind its last line, if nobody can count it."""
    faults = [
        (chunk.offset + int(rows.starts[row]), str(broken[row][0]), None, broken[row][1]) for row in sorted(broken)
    ]
    lost = chunk.damage and DropReason.TRUNCATED not in {reason for reason, _ in broken.values()}
    if lost:
        faults.append((chunk.offset + len(chunk.data), str(DropReason.TRUNCATED), None, chunk.damage))
    refused = pl.DataFrame(faults, _REFUSED, orient="row")
    return _describe(chunk, origin, refused, min(EXCERPT_BYTES, max_line_bytes))


def _describe(chunk: Chunk, origin: Origin, refused: pl.DataFrame, excerpt_bytes: int = EXCERPT_BYTES) -> pa.Table:
    """Make DROP rows: where each refused line stands, and how it begins."""
    starts = [offset - chunk.offset for offset in refused["offset"].to_list()]
    raw = [chunk.data[low : low + excerpt_bytes].partition(b"\n")[0].rstrip(b"\r") for low in starts]
    row = pl.Series("row", [line.decode("utf-8", "replace") for line in raw], pl.String)
    return origin.locate(refused).with_columns(row).select(DROP.names).to_arrow().cast(DROP)
