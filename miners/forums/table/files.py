"""Files of a table: which there are, in which format, and the one way to describe, cut and read all formats."""

from collections.abc import Generator, Mapping
from pathlib import PurePosixPath

import polars as pl
from fsspec.core import url_to_fs

from miners.formats import hub, json_tables, parquet
from miners.formats.rows import Batch
from miners.formats.streams import compression_of
from miners.forums.table import database, delimited
from miners.forums.table.delimited import Dialect
from miners.forums.table.mapping import Options
from miners.source import Slice
from schemas.errors import InputError, RecipeError
from schemas.sections import check, parse_yaml

MAPPING = "mapping.yaml"
"""Beside the data: the options of whoever gives no rows."""

_TABLE = "posts"
_SUFFIXES: Mapping[str, str] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".db": "sqlite",
}
_EXPECTED = f"a file, or a folder of files, that ends in {', '.join(_SUFFIXES)}; or a `format`"


def find(path: str) -> dict[str, str]:
    """Find the tables at a path or glob: {name of the file, folder or data set: path for `plan`}. Raises InputError."""
    if path.startswith(hub.PREFIX):
        return {PurePosixPath(path.removeprefix(hub.PREFIX).partition("?")[0]).name: path}
    fs, root = url_to_fs(path)
    entries = [root] if fs.exists(root) else sorted(fs.glob(root))
    if not entries:
        raise InputError(path, "there is no such file or folder", _EXPECTED)
    spelled = {_stem(entry): path if entry == root else str(fs.unstrip_protocol(entry)) for entry in entries}
    if len(spelled) < len(entries):
        raise InputError(path, "two tables have one name", "one file or folder of each name")
    return spelled


def settle(path: str, options: Options) -> Options:
    """Take the mapping beside the data where a recipe gives none; raises RecipeError where there is neither."""
    if options.rows:
        return options
    fs, root = url_to_fs("" if path.startswith(hub.PREFIX) else path)
    beside = f"{root if fs.isdir(root) else str(PurePosixPath(root).parent)}/{MAPPING}"
    if path.startswith(hub.PREFIX) or not fs.exists(beside):
        raise RecipeError(
            f"{path}: `options.rows` is wanted, or a {MAPPING} beside the data: which columns make a post"
        )
    values = parse_yaml(fs.cat_file(beside), beside)
    given = options.model_dump(mode="json", exclude_defaults=True)
    return check(Options, {**values, **given} if isinstance(values, dict) else values, beside)


def list_files(path: str, options: Options) -> list[str]:
    """List the files of one table; raises InputError where there is none, or where they are of several formats."""
    if path.startswith(hub.PREFIX):
        return [path]
    fs, root = url_to_fs(path)
    if not fs.isdir(root):
        return [path]
    names = [entry for entry in sorted(fs.ls(root, detail=False)) if fs.isfile(entry) and _is_data(entry, options)]
    formats = {_SUFFIXES.get(_suffix(name), "") for name in names} if not options.format else {options.format}
    if len(formats) != 1 or not names:
        what = "it holds no table" if not names else f"it holds {' and '.join(sorted(formats))}"
        raise InputError(path, what, _EXPECTED)
    return [f"{path.rstrip('/')}/{PurePosixPath(name).name}" for name in names]


def describe(path: str, options: Options) -> dict[str, pl.DataType]:
    """Say which columns a file has; raises InputError or RecipeError."""
    match _format(path, options):
        case "parquet":
            return parquet.describe(path)
        case "sqlite":
            return database.describe(path, options.table)
        case "hub":
            return hub.describe(path)
        case "jsonl":
            return json_tables.describe(path)
        case known:
            return delimited.describe(path, _dialect(known, options))


def cut(path: str, options: Options, slice_bytes: int) -> list[Slice]:
    """Cut a file into slices; raises InputError or RecipeError."""
    match _format(path, options):
        case "parquet":
            return parquet.cut(path, _TABLE, slice_bytes)
        case "sqlite":
            return database.cut(path, options.table, slice_bytes)
        case "hub":
            return hub.cut(path, _TABLE)
        case "jsonl":
            return json_tables.cut(path, _TABLE, slice_bytes)
        case _:
            return delimited.cut(path)


def read(
    part: Slice, options: Options, fields: Mapping[str, pl.DataType], chunk_bytes: int
) -> Generator[Batch, None, None]:
    """Read a slice, about `chunk_bytes` at a time."""
    match _format(part.path, options):
        case "parquet":
            yield from parquet.read(part, fields, chunk_bytes)
        case "sqlite":
            yield from database.read(part, options.table, fields, chunk_bytes)
        case "hub":
            yield from hub.read(part, fields, chunk_bytes)
        case "jsonl":
            yield from json_tables.read(part, fields, chunk_bytes, options.max_row_bytes)
        case known:
            yield from delimited.read(part, _dialect(known, options), fields, chunk_bytes)


def _format(path: str, options: Options) -> str:
    if path.startswith(hub.PREFIX):
        return "hub"
    found = options.format or _SUFFIXES.get(_suffix(path))
    if not found:
        raise InputError(path, "its name does not say what it is", _EXPECTED)
    return found


def _dialect(known: str, options: Options) -> Dialect:
    return Dialect("\t" if known == "tsv" else ",", options.quote, options.max_row_bytes)


def _is_data(path: str, options: Options) -> bool:
    name = PurePosixPath(path).name
    return name != MAPPING and name[0] not in "._" and (options.format is not None or _suffix(path) in _SUFFIXES)


def _suffix(path: str) -> str:
    """Take the ending of a name, before that of its compression."""
    return PurePosixPath(path.lower().removesuffix(compression_of(path) or "")).suffix


def _stem(path: str) -> str:
    """Take the name of a file without what its endings say.

    >>> _stem("dumps/quora.jsonl.zst")
    'quora'
    """
    name = PurePosixPath(path).name
    plain = name[: len(name) - len(compression_of(name) or "")]
    return plain[: -len(_suffix(plain))] if _suffix(plain) in _SUFFIXES else plain
