"""Logs of answers: files of JSON lines on this machine, each locked as long as its writer lives.

What was appended outlives the process. An append syncs the log to its disk where that was last done `_SYNC_SECONDS` ago
or more: a power cut takes at most the answers of so many seconds before the last append. They stay in doubt until there
is another append, the log becomes a segment, or the system writes them back by itself (Linux: half a minute).
"""

import fcntl
import hashlib
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import json

from schemas.errors import InputError, RootError
from schemas.judging import ANSWER
from warehouse.root import Root

_LOGS = "ledger/logs"  # in a root on this machine
_LEAST_BLOCK = 1 << 20
_SYNC_SECONDS = 5.0  # a sync of the answers of so long takes milliseconds


@dataclass(slots=True)
class Log:
    """A file of JSON lines that is locked as long as its writer lives."""

    path: Path
    file: int
    rows: int = 0
    _synced: float = field(default_factory=time.monotonic)

    def append(self, lines: bytes, rows: int) -> None:
        """Append whole lines, or none; and sync all of them to the disk if that was not done lately."""
        end, left = os.fstat(self.file).st_size, memoryview(lines)
        try:
            while left:  # a disk may take a part, and refuse the rest
                left = left[os.write(self.file, left) :]
            if time.monotonic() - self._synced >= _SYNC_SECONDS:
                os.fsync(self.file)
                self._synced = time.monotonic()
        except OSError as error:
            os.ftruncate(self.file, end)
            raise _refuse(self.path, error) from error
        self.rows += rows


def begin_log(root: Root) -> Log:
    """Begin a log and lock it; raises RootError where none can be written."""
    folder = _logs_of(root)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o777 if root.is_local else 0o700)
        while True:
            path = folder / f"revealed-{uuid.uuid4().hex}.jsonl"
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY, 0o644)
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists():
                return Log(path, file)
            os.close(file)  # between its birth and the lock another took it for a dead writer's
    except OSError as error:
        raise _refuse(folder, error) from error


def _logs_of(root: Root) -> Path:
    """Say where on this machine the logs lie: in the root, or, for a store, in a temporary folder of this user."""
    if root.is_local:
        return Path(root.path(_LOGS))
    name = hashlib.sha256(root.url.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"revealed-ledger-{os.getuid()}-{name}"


def list_logs(root: Root) -> list[Path]:
    """List the logs of living and of dead writers on this machine."""
    folder = _logs_of(root)
    if not root.is_local and folder.exists() and folder.lstat().st_uid != os.getuid():
        raise RootError(f"{folder}: it belongs to another user; expected to keep answers there until they are uploaded")
    return sorted(folder.glob("*.jsonl"))


@contextmanager
def take_over(path: Path) -> Iterator[bool]:
    """Try to take a log over; False where its writer lives, or another has taken it."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = path.exists()
    except BlockingIOError:
        is_ours = False
    try:
        yield is_ours
    finally:
        os.close(file)


def read_log(path: Path) -> pl.DataFrame:
    """Read the lines of a log; the last may have been cut off by a kill, and nobody was told that it is there."""
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if not whole:
        return pl.DataFrame(ANSWER.empty_table())
    as_answers = json.ParseOptions(explicit_schema=ANSWER, unexpected_field_behavior="error")
    as_one_block = json.ReadOptions(block_size=max(len(whole), _LEAST_BLOCK))  # a line must not straddle two
    try:
        return pl.DataFrame(json.read_json(BytesIO(whole), as_one_block, as_answers))
    except pa.ArrowInvalid as error:
        raise InputError(
            str(path), f"a line is no answer ({error})", "a log of the ledger, as it was written"
        ) from None


def _refuse(path: Path, error: OSError) -> RootError:
    return RootError(f"{path}: cannot be written ({error.strerror}); expected room, and leave to write, for answers")
