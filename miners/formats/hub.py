"""Data sets of the Hugging Face Hub, streamed through `datasets`: a slice is one of a data set's own shards.

A path is `hub://owner/name?config=..&split=..&revision=..` (split: train), or `hub:///folder` for a local folder of
data files. A plan pins the revision, a commit of the Hub or the hash of the folder, and writes it into the path of each
slice: the same path is the same bytes. Nothing of a data set is executed.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import polars as pl
import pyarrow as pa

from miners.formats.rows import Rows, take_rows
from miners.source import Slice
from schemas.errors import InputError, RecipeError, TransientError, nearest

PREFIX = "hub://"
"""How paths to the Hub begin."""

_EXPECTED = "hub://owner/name?config=..&split=.., a data set that this user may read"
_KEYS = ("config", "split", "revision")
_BATCH = 1000  # rows at a time
_SHARD_BYTES = 256 << 20  # a guess, for progress and for the choice of partitions only


def describe(path: str) -> dict[str, pl.DataType]:
    """Say which columns a data set has; raises InputError or RecipeError."""
    data = _load(path)
    features = data.features
    schema = features.arrow_schema if features else next(iter(data.with_format("arrow").iter(1))).schema
    return dict(pl.DataFrame(schema.empty_table()).schema)


def cut(path: str, table: str) -> list[Slice]:
    """Make a slice of each shard of the data set, as it is now. Raises InputError or RecipeError."""
    pinned = _pin(path)
    shards = _load(pinned).num_shards
    return [Slice(table, pinned, None, shard, shard + 1, _SHARD_BYTES) for shard in range(shards)]


def read(part: Slice, fields: Mapping[str, pl.DataType], chunk_bytes: int) -> Iterator[Rows]:
    """Stream one shard, about `chunk_bytes` at a time; `offset` is the number of a row in its shard."""
    data = _load(part.path)
    known = describe(part.path)
    shard = data.shard(num_shards=data.num_shards, index=part.start).select_columns([n for n in fields if n in known])
    held: list[pa.Table] = []
    first = 0
    for table in shard.with_format("arrow").iter(_BATCH):
        held.append(table)
        if sum(piece.nbytes for piece in held) >= chunk_bytes:
            yield _take(held, first, fields, part)
            first, held = first + sum(piece.num_rows for piece in held), []
    if held:
        yield _take(held, first, fields, part)


def _take(held: list[pa.Table], first: int, fields: Mapping[str, pl.DataType], part: Slice) -> Rows:
    table = pa.concat_tables(held).combine_chunks()
    numbers = pa.array(range(first, first + table.num_rows), pa.int64())
    return take_rows(table.append_column("offset", numbers), fields, part.path)


def _parse(path: str) -> tuple[str, dict[str, str]]:
    """Part a path into the name of the data set and its options."""
    parts = urlsplit(path)
    given = dict(parse_qsl(parts.query))
    for key in given:
        if key not in _KEYS:
            raise RecipeError(f"{path}: unknown key `{key}`; {nearest(key, _KEYS)}")
    name = f"{parts.netloc}{parts.path}"
    if not name.strip("/"):
        raise RecipeError(f"{path}: no data set is named; expected {_EXPECTED}")
    return name, given


def _pin(path: str) -> str:
    """Write into a path which revision of the data set is read."""
    name, given = _parse(path)
    folder = Path(name)
    if name.startswith("/"):
        digest = hashlib.sha256()
        for item in sorted(item for item in folder.rglob("*") if item.is_file()):
            with item.open("rb") as file:
                digest.update(
                    f"{item.relative_to(folder)}\x1f{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode()
                )
        given["revision"] = digest.hexdigest()
    else:
        given["revision"] = _ask_commit(path, name, given.get("revision"))
    return f"{PREFIX}{name}?{urlencode(given)}"


def _ask_commit(path: str, name: str, revision: str | None) -> str:
    from huggingface_hub import HfApi  # noqa: PLC0415 - an optional dependency, and slow to import
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    try:
        return str(HfApi().dataset_info(name, revision=revision).sha)
    except HfHubHTTPError as error:
        raise InputError(path, f"the Hub refuses it ({' '.join(str(error).split())[:200]})", _EXPECTED) from None
    except OSError as error:
        raise TransientError(f"{path}: the Hub cannot be reached ({error}); expected a network") from None


def _load(path: str) -> Any:
    name, given = _parse(path)
    try:
        import datasets  # noqa: PLC0415 - an optional dependency, and slow to import
    except ImportError:
        raise RecipeError(f"{path}: the Hub needs `datasets`; expected `uv sync --extra hub`") from None
    local = name.startswith("/")
    if local and not Path(name).is_dir():
        raise InputError(path, "there is no such folder", "a folder of data files")
    try:
        return datasets.load_dataset(
            name,
            given.get("config"),
            split=given.get("split", "train"),
            revision=None if local else given.get("revision"),
            streaming=True,
        )
    except (ValueError, FileNotFoundError) as error:  # no such config or split; no such data set
        raise InputError(path, " ".join(str(error).split())[:300], _EXPECTED) from None
    except OSError as error:
        raise TransientError(f"{path}: the Hub cannot be reached ({error}); expected a network") from None
