"""The compiled way from HTML to Markdown: whole Arrow columns, byte for byte what `markdown.render` gives.

Bodies as Stack Exchange's renderer writes them are read, searched for formulas and written by three compiled steps
(`miners.text.compiled`). Where these do not know the answer they refuse the body; `markdown.render` then renders it,
and so stays the one definition of the rules.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from miners.text.compiled import reader, spans, writer
from miners.text.compiled.layout import Block, Bytes, Counts, Flags, Mark, Page, Span, record

_BLOCK, _MARK, _SPAN = record(Block), record(Mark), record(Span)

_KEPT = 5
"""Bytes of finished pieces for each of HTML: `&` becomes `&amp;`, an address is decoded and then quoted. See `Page`."""


def render_known(bodies: pa.Array) -> tuple[pa.StringArray, Flags]:
    """Render what the compiled steps know -> (Markdown, null where not rendered; which bodies were refused).

    Nulls stay null and are not refused. Working memory: about fifteen bytes a byte of HTML, few of which are touched.
    """
    data, offsets = _buffers(bodies)
    nulls = bodies.is_null().to_numpy(zero_copy_only=False)
    page = _empty_page(data, nulls.copy())
    formulas = np.empty(len(page.text) // 3 + 1, _SPAN)  # `$x$` is the shortest
    sizes = np.diff(offsets)
    out = np.empty(writer.GROWTH * len(data) + writer.SLACK * len(sizes), np.uint8)
    ends = np.zeros(len(offsets), np.int64)
    reader.read(data, offsets, page)
    spans.find(page, formulas)
    writer.write(page, formulas, sizes, out, ends[1:])
    buffers = [
        pa.py_buffer(np.packbits(~page.refused, bitorder="little")),
        pa.py_buffer(ends),
        pa.py_buffer(out[: ends[-1]].copy()),
    ]
    rendered = pa.Array.from_buffers(pa.large_string(), len(sizes), buffers)
    return rendered.cast(pa.string()), page.refused & ~nulls


def digest_sources(folder: Path) -> str:
    """Hash all modules of a folder."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))).hexdigest()


def _watch_sources() -> None:
    """Have numba's cache notice a change in any module of the compiled steps.

    Of itself it watches the three in which the entries stand, and would run what the others were before an update. It
    has no public way to say so.
    """
    stamp = digest_sources(Path(reader.__file__).parent)
    for step in _STEPS:
        step._cache._cache_file._source_stamp = stamp  # noqa: SLF001


_STEPS: tuple[Any, ...] = (reader.read, spans.find, writer.write)
_watch_sources()


def is_loaded() -> bool:
    """Whether this process has the compiled steps at hand; to load them takes half a second, to compile them 20."""
    return bool(reader.read.signatures)


def _buffers(bodies: pa.Array) -> tuple[Bytes, Counts]:
    """View strings as the bytes of all of them, and where each begins and the last ends."""
    large = bodies.cast(pa.large_string())
    _, offsets, data = large.buffers()
    if not len(large) or data is None:
        return _freeze(np.empty(0, np.uint8)), np.zeros(len(large) + 1, np.int64)
    whole = np.frombuffer(offsets, np.int64)[large.offset : large.offset + len(large) + 1]
    return _freeze(np.frombuffer(data, np.uint8)[whole[0] : whole[-1]]), whole - whole[0]


def _freeze(data: Bytes) -> Bytes:
    """Make it read-only, as some Arrow buffers are: to numba that is another type, compiled anew."""
    data.setflags(write=False)
    return data


def _empty_page(data: Bytes, refused: Flags) -> Page:
    """Make room for all that the reader can write: every tag ends a run, makes a mark or leaves an object."""
    tags = int(np.count_nonzero(data == ord("<")))
    return Page(
        text=np.empty(len(data), np.uint8),
        kept=np.empty(_KEPT * len(data), np.uint8),
        marks=np.empty(tags, _MARK),
        objects=np.empty(tags, _SPAN),
        blocks=np.empty(2 * tags + len(refused), _BLOCK),
        block_ends=np.zeros(len(refused), np.int64),
        refused=refused,
    )
