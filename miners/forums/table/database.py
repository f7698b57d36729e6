"""SQLite: a slice is a range of row ids of one table or view.

The file is opened read-only. No text of a mapping reaches SQL but the names of a table and of columns that the database
itself has listed, quoted.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import fsspec
import polars as pl
import pyarrow as pa

from miners.formats.rows import Rows, take_rows
from miners.source import Slice
from schemas.errors import InputError, RecipeError, nearest

_EXPECTED = "a SQLite database that nobody writes to"
_FETCH = 512  # rows at a time, of which a chunk is made
_MAX_SLICES = 4096


def describe(path: str, table: str | None) -> dict[str, pl.DataType]:
    """Say which columns a table has, as texts: SQLite's types bind nobody. Raises InputError or RecipeError."""
    with _open(path) as connection:
        return dict.fromkeys(_list_columns(connection, _find_table(connection, path, table)), pl.String())


def cut(path: str, table: str | None, slice_bytes: int) -> list[Slice]:
    """Cut a table between its row ids, of which [start, end) are a slice's; what has none, as a view, is one slice."""
    with _open(path) as connection:
        size = Path(_local(path)).stat().st_size
        name = _find_table(connection, path, table)
        key = _find_key(connection, name)
        query = f"SELECT min({key}), max({key}) FROM {_quote(name)}"  # noqa: S608 - quoted
        bounds = connection.execute(query).fetchone() if key else None
    if not bounds or bounds[0] is None:
        return [Slice("posts", path, None, 0, 0, size)]
    low, high = bounds[0], bounds[1] + 1
    parts = min(max(-(-size // slice_bytes), 1), high - low, _MAX_SLICES)
    marks = [low + (high - low) * number // parts for number in range(parts + 1)]
    return [Slice("posts", path, None, marks[n], marks[n + 1], size // parts) for n in range(parts)]


def read(part: Slice, table: str | None, fields: Mapping[str, pl.DataType], chunk_bytes: int) -> Iterator[Rows]:
    """Read a range of rows, about `chunk_bytes` at a time; `offset` is the row's id, or else its number."""
    with _open(part.path) as connection:
        name = _find_table(connection, part.path, table)
        columns = [column for column in _list_columns(connection, name) if column in fields]
        key = _find_key(connection, name) if part.end > part.start else None
        # Cast by SQLite, every value is its text; as bytes, a text that is no UTF-8 is found by us and not raised.
        texts = [f"CAST({_quote(column)} AS TEXT)" for column in columns]
        query = f"SELECT {', '.join([key or '0', *texts])} FROM {_quote(name)}"  # noqa: S608 - quoted
        if key:
            query += f" WHERE {key} BETWEEN ? AND ? ORDER BY {key}"
        cursor = connection.execute(query, (part.start, part.end - 1) if key else ())
        yield from _gather(cursor, columns, fields, part.path, chunk_bytes, numbered=not key)


def _gather(
    cursor: sqlite3.Cursor,
    columns: list[str],
    fields: Mapping[str, pl.DataType],
    path: str,
    chunk_bytes: int,
    *,
    numbered: bool,
) -> Iterator[Rows]:
    schema = pa.schema([("offset", pa.int64()), *((column, pa.binary()) for column in columns)])
    held: list[pa.Table] = []
    seen = size = 0
    while rows := cursor.fetchmany(_FETCH):
        table = pa.table(
            [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)],
            schema=schema,
        )
        if numbered:
            table = table.set_column(0, "offset", pa.array(range(seen, seen + len(rows)), pa.int64()))
        held.append(table)
        seen, size = seen + len(rows), size + table.nbytes
        if size >= chunk_bytes:
            yield _take(held, fields, path)
            held, size = [], 0
    if held:
        yield _take(held, fields, path)


def _take(held: list[pa.Table], fields: Mapping[str, pl.DataType], path: str) -> Rows:
    """Take the bytes for texts, which `take_rows` tests."""
    table = pa.concat_tables(held).combine_chunks()
    columns = [
        column
        if name == "offset"
        else pa.chunked_array([chunk.view(pa.string()) for chunk in column.chunks], pa.string())
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return take_rows(pa.table(columns, names=table.column_names), fields, path)


def _find_table(connection: sqlite3.Connection, path: str, wanted: str | None) -> str:
    query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    names: list[str] = sorted(name.decode() for (name,) in connection.execute(query))
    if wanted in names:
        return str(wanted)
    if wanted:
        raise RecipeError(f"{path}: there is no table `{wanted}`; {nearest(wanted, names)}")
    if len(names) != 1:
        raise RecipeError(f"{path}: `table` is wanted, since it holds {', '.join(names) or 'no table'}")
    return names[0]


def _list_columns(connection: sqlite3.Connection, table: str) -> list[str]:
    cursor = connection.execute(f"SELECT * FROM {_quote(table)} LIMIT 0")  # noqa: S608 - quoted
    return [column[0] for column in cursor.description]


def _find_key(connection: sqlite3.Connection, table: str) -> str | None:
    """Find the name under which row ids can be asked for: columns may take the usual ones away."""
    taken = {column.lower() for column in _list_columns(connection, table)}
    for name in ("rowid", "_rowid_", "oid"):
        if name not in taken:
            try:
                query = f"SELECT typeof(max({name})) FROM {_quote(table)}"  # noqa: S608 - quoted
                [kind] = connection.execute(query).fetchone()
            except sqlite3.OperationalError:  # WITHOUT ROWID
                return None
            return name if kind == b"integer" else None
    return None


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _local(path: str) -> str:
    fs, inner = fsspec.url_to_fs(path)
    if "file" not in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol):
        raise InputError(path, "SQLite cannot read it there", "a local file")
    return str(inner)


@contextmanager
def _open(path: str) -> Iterator[sqlite3.Connection]:
    """Open a database for reading; raises InputError where it is none, is locked, or has changes beside the file."""
    local = Path(_local(path))
    if not local.is_file():
        raise InputError(path, "there is no such file", _EXPECTED)
    log = local.with_name(f"{local.name}-wal")
    if log.exists() and log.stat().st_size:
        raise InputError(
            path,
            f"there are changes in {log.name} that are not yet in the file",
            f"{_EXPECTED} (PRAGMA wal_checkpoint(TRUNCATE))",
        )
    with local.open("rb") as file:
        has_log = file.read(20)[18:19] == b"\x02"  # even a reader would write a log of its own beside such a file
    mode = "mode=ro&immutable=1" if has_log else "mode=ro"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(local))}?{mode}", uri=True, timeout=1)) as connection:
            connection.text_factory = bytes
            yield connection
    except sqlite3.Error as error:
        raise InputError(path, f"cannot be read ({error})", _EXPECTED) from None
