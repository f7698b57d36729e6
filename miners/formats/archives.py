"""Members of 7z archives as streams of bytes. Nothing is unpacked to disk, whatever the archive says.

A 7z archive is solid as a rule: to reach a member, all before it are decompressed and thrown away. So a member is one
stream, read once from its beginning.
"""

import lzma
import struct
import zlib
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PureWindowsPath
from queue import Empty, Queue
from threading import Event
from typing import IO, NoReturn

import fsspec
from py7zr import Py7zIO, SevenZipFile, WriterFactory
from py7zr.exceptions import AbsolutePathError, ArchiveError, DecompressionBombError, PasswordRequired

from schemas.errors import InputError

MAX_RATIO = 1000.0
"""Refuse archives that unpack to more than so many times their size. Dumps reach 5 to 10, LZMA itself about 7,000."""

_BLOCK = 4 << 20
_BLOCKS_AHEAD = 8

# A damaged archive fails wherever its bytes lead the decoder; py7zr wraps only some of these failures in its own.
_DAMAGE = (
    ArchiveError,
    AbsolutePathError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside an archive; `size` is what it unpacks to, in bytes, as the archive declares."""

    name: str
    size: int


def list_members(path: str, max_ratio: float = MAX_RATIO) -> list[Member]:
    """List an archive's files; raises InputError where it is damaged, encrypted, a bomb, or names files outside."""
    with _guarded(path), fsspec.open(path, "rb") as file, SevenZipFile(file) as archive:
        _check_password(archive, path)
        members = [Member(item.filename, item.uncompressed) for item in archive.list() if not item.is_directory]
        limit = int(max_ratio * _size_of(file))
    for member in members:
        _check_name(member.name, path)
    if sum(member.size for member in members) > limit:
        _refuse_bomb(path, max_ratio)
    return members


def stream_member(path: str, name: str, max_ratio: float = MAX_RATIO) -> Generator[bytes, None, None]:
    """Decompress one member of an archive, in blocks of at most 4 MiB; raises InputError as `list_members` does.

    py7zr pushes what it decompresses, so it runs in a thread of its own, a few blocks ahead. Closing the iterator
    early stops it.
    """
    blocks: Queue[bytes | None] = Queue(_BLOCKS_AHEAD)
    stopped = Event()
    with ThreadPoolExecutor(1, thread_name_prefix="7z") as pool:
        done = pool.submit(_push, path, name, max_ratio, _Sink(blocks, stopped))
        try:
            while (block := blocks.get()) is not None:
                yield block
        finally:
            stopped.set()
            _drain(blocks, done)
        with _guarded(path):
            done.result()


class _StoppedError(Exception):
    """The reader wants no more blocks."""


class _Sink(Py7zIO, WriterFactory):
    """Where py7zr writes a member to: a queue. It asks for more methods than it uses on a sink."""

    def __init__(self, blocks: Queue[bytes | None], stopped: Event) -> None:
        self.blocks, self.stopped, self.written = blocks, stopped, 0

    def create(self, filename: str) -> "_Sink":  # noqa: ARG002 - one sink takes the one member
        return self

    def write(self, s: bytes | bytearray) -> int:
        for start in range(0, len(s), _BLOCK):
            if self.stopped.is_set():
                raise _StoppedError
            self.blocks.put(bytes(s[start : start + _BLOCK]))
        self.written += len(s)
        return len(s)

    def read(self, size: int | None = None) -> bytes:  # noqa: ARG002
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:  # noqa: ARG002
        return 0

    def flush(self) -> None:
        return

    def size(self) -> int:
        return self.written


def _push(path: str, name: str, max_ratio: float, sink: _Sink) -> None:
    """Run in the thread: decompress the member into the sink, and end it with None whatever happens."""
    try:
        with suppress(_StoppedError), fsspec.open(path, "rb") as file:
            limit = int(max_ratio * _size_of(file))
            with SevenZipFile(file, max_extract_size=limit) as archive:
                archive.extract(targets=[name], factory=sink)
    except DecompressionBombError:
        _refuse_bomb(path, max_ratio)
    finally:
        sink.blocks.put(None)


def _drain(blocks: Queue[bytes | None], done: Future[None]) -> None:
    """Empty the queue until the thread, which may wait for room in it, has ended."""
    while not done.done():
        with suppress(Empty):
            blocks.get(timeout=0.01)


def _size_of(file: IO[bytes]) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size


@contextmanager
def _guarded(path: str) -> Iterator[None]:
    """Turn every way in which a damaged or locked archive fails into InputError."""
    try:
        yield
    except PasswordRequired:
        _refuse_password(path)
    except OSError as error:
        if error.errno is not None:  # the file system's own; bz2 raises an OSError without a number
            raise
        raise InputError(path, f"the archive is damaged ({error})", "an archive that `7z t` passes") from error
    except _DAMAGE as error:
        problem = f"the archive is damaged or cut off ({type(error).__name__}: {error})"
        raise InputError(path, problem, "an archive that `7z t` passes") from error


def _check_password(archive: SevenZipFile, path: str) -> None:
    if archive.needs_password():
        _refuse_password(path)


def _refuse_password(path: str) -> NoReturn:
    raise InputError(path, "the archive is encrypted", "an archive without a password") from None


def _refuse_bomb(path: str, max_ratio: float) -> NoReturn:
    problem = f"the archive unpacks to more than {max_ratio:g} times its size"
    raise InputError(path, problem, "a plain dump, or a higher `max_archive_ratio`") from None


def _check_name(name: str, path: str) -> None:
    """Refuse names that would lead out of a folder; we write none, but such an archive is no dump."""
    parts = PureWindowsPath(name)  # takes both slashes, and knows drive letters
    if parts.anchor or ".." in parts.parts or "\0" in name:
        raise InputError(path, f"the archive names a file outside its folder ({name!r})", "plain relative names")
