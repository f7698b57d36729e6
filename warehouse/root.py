"""The root of a warehouse: a local folder or any fsspec URL, in which every file appears whole or not at all."""

import errno
import json
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import CorruptError, RootError, TransientError
from schemas.manifest import Record

_Record = TypeVar("_Record", bound=Record)

_UNWRITABLE = {
    errno.EROFS: "is read-only",
    errno.EACCES: "may not be written by this user",
    errno.EPERM: "may not be written by this user",
    errno.ENOSPC: "is full",
    errno.EDQUOT: "is over its quota",
    errno.ENOTDIR: "is not a folder",
    errno.EEXIST: "is not a folder",
}

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Root:
    """A place for files, addressed by keys such as `stages/pairs/ab/abcd.arrow`. Cheap to make, safe to pickle.

    Errors: RootError where the place cannot be read or written at all; TransientError where a remote store fails in a
    way that may pass.
    """

    url: str

    @cached_property
    def _store(self) -> tuple[fsspec.AbstractFileSystem, str]:
        # A client that remembered listings would deny what other processes wrote since.
        fs, path = fsspec.url_to_fs(self.url, use_listings_cache=False)
        return fs, str(path).rstrip("/")

    def __getstate__(self) -> dict[str, str]:
        """Travel without the open connection."""
        return {"url": self.url}

    @property
    def is_local(self) -> bool:
        """Whether the files lie on this machine's disks."""
        return isinstance(self._store[0], LocalFileSystem)

    @property
    def is_shared(self) -> bool:
        """Whether other processes see the same files."""
        protocol = self._store[0].protocol
        return "memory" not in (protocol if isinstance(protocol, tuple) else (protocol,))

    def path(self, key: str) -> str:
        """Say the full path of a key, as the filesystem calls it."""
        return f"{self._store[1]}/{key}" if key else self._store[1]

    def locate(self, key: str) -> str:
        """Say where a key is, as a person or a reader of data would write it."""
        return self.path(key) if self.is_local else str(self._store[0].unstrip_protocol(self.path(key)))

    def exists(self, key: str) -> bool:
        """Whether the file is there."""
        with self._translated():
            return bool(self._store[0].exists(self.path(key)))

    def size(self, key: str) -> int | None:
        """Size in bytes; None where there is no such file."""
        with self._translated():
            try:
                return int(self._store[0].size(self.path(key)))
            except FileNotFoundError:
                return None

    def read(self, key: str) -> bytes:
        """Read a small file whole; raises FileNotFoundError."""
        with self._translated():
            return bytes(self._store[0].cat_file(self.path(key)))

    def read_record(self, key: str, model: type[_Record]) -> _Record | None:
        """Read a record; None where there is none, CorruptError where it does not parse."""
        try:
            return model.model_validate_json(self.read(key))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise CorruptError(self.locate(key), f"not a {model.__name__} ({str(error).splitlines()[0]})") from None

    def open_arrow(self, key: str) -> pa.NativeFile:
        """Open a file for Arrow's readers; raises FileNotFoundError."""
        with self._translated():
            if self.is_local:
                return pa.OSFile(self.path(key))
            return pa.PythonFile(self._store[0].open(self.path(key), "rb"), mode="r")

    def write(self, key: str, data: bytes) -> None:
        """Write a small file, whole or not at all."""
        with self.staged(key) as temporary:
            temporary.write_bytes(data)

    def write_record(self, key: str, record: Record) -> bytes:
        """Write a record as JSON, whole or not at all; answers the bytes."""
        data = (json.dumps(record.model_dump(mode="json"), sort_keys=True, ensure_ascii=False) + "\n").encode()
        self.write(key, data)
        return data

    @contextmanager
    def staged(self, key: str) -> Iterator[Path]:
        """Give a local path to write to; when the block ends well its file appears under the key, whole.

        On a local root the temporary file lies in the root's own `tmp/`, so that the last step is a rename; elsewhere
        it lies in the machine's temporary folder and is uploaded as one object.
        """
        with self._translated():
            folder = self._make_folder("tmp") if self.is_local else Path(tempfile.gettempdir())
        temporary = folder / f"revealed-{os.getpid()}-{uuid.uuid4().hex}"
        try:
            try:
                yield temporary
            except OSError as error:  # the block may read other things too: only a lack of room is surely ours
                if error.errno in _NO_ROOM:
                    raise self._refused(error) from error
                raise
            with self._translated():
                self._commit(temporary, key)
        finally:
            temporary.unlink(missing_ok=True)

    def adopt(self, key: str, new_key: str) -> None:
        """Make a file appear under a second key too: a hard link where the disk can, else a copy."""
        with self._translated():
            fs = self._store[0]
            if not self.is_local:
                fs.copy(self.path(key), self.path(new_key))
                return
            target = Path(self.path(new_key))
            self._make_folder(new_key.rpartition("/")[0])
            temporary = self._make_folder("tmp") / f"revealed-{os.getpid()}-{uuid.uuid4().hex}"
            try:
                try:
                    os.link(self.path(key), temporary)
                except OSError:  # another disk, or one without links
                    fs.copy(self.path(key), str(temporary))
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)  # rename leaves it where the target links to the same file

    def keys(self, prefix: str) -> dict[str, int]:
        """List every file under a folder: {key: bytes}; empty where there is no such folder."""
        with self._translated():
            found = self._store[0].find(self.path(prefix), detail=True)
            start = len(self._store[1]) + 1
            return {str(path)[start:]: int(info["size"]) for path, info in sorted(found.items())}

    def delete(self, key: str) -> None:
        """Remove a file; nothing happens where there is none."""
        with self._translated():
            try:
                self._store[0].rm_file(self.path(key))
            except FileNotFoundError:
                return

    def _commit(self, temporary: Path, key: str) -> None:
        if self.is_local:
            self._make_folder(key.rpartition("/")[0])
            temporary.replace(self.path(key))
            return
        try:
            self._store[0].put_file(str(temporary), self.path(key))
        except FileNotFoundError as error:
            raise RootError(f"{self.url}: there is no such bucket; make it, or give another root") from error

    def _make_folder(self, key: str) -> Path:
        folder = Path(self.path(key))
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the store's errors into ours; a missing file stays FileNotFoundError."""
        try:
            yield
        except FileNotFoundError:
            raise
        except _passing_errors() as error:
            if "credentials" in str(error).lower():
                raise RootError(f"{self.url}: {error}; expected the store's keys in the environment") from error
            raise TransientError(f"{self.url}: {error}") from error
        except OSError as error:
            if error.errno in _UNWRITABLE:
                raise self._refused(error) from error
            if self.is_local:
                raise
            raise TransientError(f"{self.url}: {error}") from error

    def _refused(self, error: OSError) -> RootError:
        return RootError(
            f"{self.url}: the warehouse root {_UNWRITABLE[error.errno or 0]} ({error.filename or self.url}); "
            "expected a folder or URL that can be written (--root, or REVEALED_ROOT)"
        )


def open_root(url: str) -> Root:
    """Name a root wherever this process stands: others may stand elsewhere, so a local path is made absolute."""
    return Root(url if "://" in url else os.path.abspath(url))  # noqa: PTH100 (links in it stay as they are)


def _passing_errors() -> tuple[type[Exception], ...]:
    """List the errors that may pass: a lost connection, and what S3's client, if it is loaded, raises of its own."""
    client: object = getattr(sys.modules.get("botocore.exceptions"), "BotoCoreError", None)
    known = (ConnectionError, TimeoutError)
    return (*known, client) if isinstance(client, type) and issubclass(client, Exception) else known
