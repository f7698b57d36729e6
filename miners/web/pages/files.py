"""Pages as files, each of which is a document: TeX, Markdown and plain text to the letter, HTML rendered."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import PurePosixPath
from typing import IO, cast

import polars as pl
import pyarrow as pa
from fsspec.core import url_to_fs

from miners.documents import TABLE, has_ending
from miners.formats.folders import cut_runs, list_files, open_files, recall_files
from miners.formats.streams import DamageError, measure_file, stream
from miners.source import Reading, Slice
from miners.text.pages import render_pages
from miners.web.pages.options import HTML, NAME, TEXTS, Options
from schemas.drops import DROP, DropReason
from schemas.inputs import DOCUMENT
from schemas.outcome import Outcome

_EXPECTED = "a text in UTF-8"
_HEAD_BYTES = 2048  # in which a page must say its encoding
_EXCERPT_BYTES = 1 << 16
_FILE_BYTES = 256  # that a file takes beside its text, so that many empty ones fill a chunk as well

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_CHARSET = re.compile(rb"<meta[^>]{0,200}?\bcharset\s*=\s*[\"']?\s*([A-Za-z0-9_-]{1,30})", re.IGNORECASE)
_CODECS = {
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "us-ascii", "ascii", "windows-1252"), "cp1252"),
    **{f"iso-8859-{part}": f"iso8859-{part}" for part in (2, 5, 7, 15)},
    "iso-8859-9": "cp1254",
    **{f"windows-{page}": f"cp{page}" for page in (1250, 1251, 1253, 1254)},
    **{name: name for name in ("koi8-r", "koi8-u", "euc-jp", "gb18030")},
    **dict.fromkeys(("gb2312", "gbk"), "gb18030"),
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "big5": "big5hkscs",
}
"""Encodings that pages name, as browsers understand them (WHATWG, Encoding); what is not here is read as UTF-8."""


def cut(path: str, slice_bytes: int) -> list[Slice]:
    """Cut a folder's files of text into runs of about `slice_bytes`; a lone file is one slice, what is none gives none.

    Raises InputError where a lone file is missing, empty, or not compressed as its name says.
    """
    fs, root = url_to_fs(path)
    if not fs.isdir(root):
        size = measure_file(path, _EXPECTED) if is_text(path) else 0
        return [Slice(TABLE, path, None, 0, size, size)] if size else []
    listing = list_files(path, is_text)
    runs = cut_runs(listing.sizes, slice_bytes) if listing.sizes else []
    return [Slice(TABLE, path, listing.digest, low, high, sum(listing.sizes[low:high])) for low, high in runs]


def is_text(file: str) -> bool:
    """Tell the files that are documents by their names."""
    return has_ending(file, TEXTS)


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was read. name: inside its folder. text: empty where there is a fault, and `detail` says which."""

    path: str
    name: str
    text: str
    fault: DropReason | None = None
    detail: str = ""
    excerpt: str = ""


def read(part: Slice, reading: Reading) -> Iterator[Outcome]:
    """Read the files of a slice, about `chunk_bytes` at a time. Raises InputError where they are others by now."""
    held: list[_File] = []
    size = 0
    for path, content in _open(part, reading.chunk_bytes):
        held.append(_load(path, _name(part, path), content, cast("Options", reading.options).max_bytes))
        size += len(held[-1].text) + len(held[-1].excerpt) + _FILE_BYTES
        if size >= reading.chunk_bytes:
            yield _make(held, reading)
            held, size = [], 0
    if held:
        yield _make(held, reading)


def _open(part: Slice, chunk_bytes: int) -> Iterator[tuple[str, IO[bytes]]]:
    if part.member is None:
        return open_files([part.path], [part.size], chunk_bytes)
    listing, run = recall_files(part.path, is_text, part.member), slice(part.start, part.end)
    return open_files(listing.paths[run], listing.sizes[run], chunk_bytes)


def _name(part: Slice, path: str) -> str:
    """Name a file by its path in the folder that was given; a lone one by its own name."""
    root = url_to_fs(part.path)[1].rstrip("/")
    inside = path.partition(f"{root}/")[2] if part.member is not None else PurePosixPath(path).name
    return os.fsencode(inside).decode("utf-8", "replace")  # a name on disk is any bytes


def _load(path: str, name: str, content: IO[bytes], max_bytes: int) -> _File:
    data = bytearray()
    try:
        for block in stream(content, path):
            data += block
            if len(data) > max_bytes:
                return _refuse(path, name, data, DropReason.ROW_TOO_LONG, f"longer than {max_bytes:,} bytes")
    except DamageError as error:
        return _refuse(path, name, data, DropReason.TRUNCATED, str(error))
    try:
        return _File(path, name, data.decode(_encoding(bytes(data[:_HEAD_BYTES]), path)))
    except UnicodeDecodeError as error:
        return _refuse(path, name, data, DropReason.INVALID_UTF8, str(error))


def _refuse(path: str, name: str, data: bytearray, reason: DropReason, detail: str) -> _File:
    return _File(path, name, "", reason, detail, data[:_EXCERPT_BYTES].decode("utf-8", "replace"))


def _encoding(head: bytes, path: str) -> str:
    """Say how a file is encoded, by its first bytes or, of HTML, by what it says itself."""
    marked = next((codec for mark, codec in _MARKS if head.startswith(mark)), None)
    named = _CHARSET.search(head) if has_ending(path, HTML) else None
    return marked or _CODECS.get(named[1].decode().lower() if named else "", "utf-8")


def _make(files: Sequence[_File], reading: Reading) -> Outcome:
    """Make documents of files; their order stays."""
    sound = [file for file in files if file.fault is None]
    titles, urls, texts = _render(sound)
    rows = pl.DataFrame(
        {"name": [file.name for file in sound], "title": titles, "url": urls, "text": texts},
        dict.fromkeys(("name", "title", "url", "text"), pl.String),
    )
    documents = rows.select(
        source=pl.lit(NAME),
        doc_id=pl.format("{}/{}", pl.lit(reading.community), "name"),
        url="url",
        text="text",
        license=pl.lit(cast("Options", reading.options).license),
        metadata=pl.struct(file="name", title="title").struct.json_encode(),
    )
    values = [pl.col(name) if name in documents.columns else pl.lit(None).alias(name) for name in DOCUMENT.names]
    kept = documents.select(values).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(DOCUMENT)
    dropped = pa.Table.from_pylist([_describe(file) for file in files if file.fault], DROP)
    return Outcome(kept, dropped, len(files))


def _render(files: Sequence[_File]) -> tuple[list[str | None], list[str | None], list[str | None]]:
    """Read titles, addresses and texts; only HTML has any but the last."""
    # A file is a value in Python as it was read: what is made of it may be one too.
    is_page = [has_ending(file.path, HTML) for file in files]
    pages = render_pages(pa.array([file.text for file in compress(files, is_page)], pa.string()))
    read = {name: iter(pages[name].to_pylist()) for name in pages.column_names}
    titles = [next(read["title"]) if page else None for page in is_page]
    urls = [next(read["url"]) if page else None for page in is_page]
    texts = [next(read["text"]) if page else file.text for file, page in zip(files, is_page, strict=True)]
    return titles, urls, texts


def _describe(file: _File) -> dict[str, object]:
    """Make a DROP row of a file that could not be read."""
    where = os.fsencode(file.path).decode("utf-8", "replace")
    return {
        "reason": str(file.fault),
        "ref": file.name,
        "file": where,
        "offset": 0,
        "detail": file.detail,
        "row": file.excerpt,
    }
