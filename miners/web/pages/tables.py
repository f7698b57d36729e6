"""Pages as rows of a table: Parquet, JSON Lines, or a data set of the Hub."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import cast

import polars as pl

from miners.columns import Column, iso_time, text
from miners.documents import TABLE, blank_to_null, check_columns, has_ending, make_documents, name_document, read_table
from miners.formats import hub, json_tables, parquet
from miners.formats.rows import Batch
from miners.source import Reading, Slice
from miners.text.pages import PAGE, render_pages
from miners.web.pages.options import LINES, NAME, Options
from schemas.inputs import DOCUMENT
from schemas.outcome import Outcome

_OPTIONAL = ("url", "id", "date")
_TYPES = {"text": pl.String(), "url": pl.String(), "date": pl.Datetime("ms")}
_MADE = "made of the page: "  # before the columns of PAGE, to tell them from those of the table
_NOTHING = pl.lit(None, pl.String)


def cut(path: str, options: Options, slice_bytes: int) -> list[Slice]:
    """Cut a table as its format is cut; raises InputError where a column is missing or of another type."""
    _choose_columns(path, options)
    if path.startswith(hub.PREFIX):
        return hub.cut(path, TABLE)
    if has_ending(path, LINES):
        return json_tables.cut(path, TABLE, slice_bytes)
    return parquet.cut(path, TABLE, slice_bytes)


def read(part: Slice, reading: Reading) -> Iterator[Outcome]:
    """Read the rows of a slice, about `chunk_bytes` at a time."""
    options = cast("Options", reading.options)
    chosen = _choose_columns(part.path, options)
    columns = _make_columns(chosen, reading)
    with closing(_read(part, list(chosen.values()), reading.chunk_bytes, options.max_bytes)) as batches:
        for batch in batches:
            rows = _render(batch.frame, options.text) if options.markup == "html" else None
            yield make_documents(batch, columns, rows)


def _choose_columns(path: str, options: Options) -> dict[str, str]:
    """Say which columns are read: {`text`, `url`, `id` or `date`: name in the table}; raises InputError."""
    found = _describe(path)
    given = {key: getattr(options, key) or (key if key in found else None) for key in _OPTIONAL}
    chosen = {"text": options.text, **{key: name for key, name in given.items() if name}}
    wanted = {name: _TYPES.get(key) or found.get(name, pl.String()) for key, name in chosen.items()}
    check_columns(path, wanted, found, "the columns that were asked for")
    return chosen


def _describe(path: str) -> dict[str, pl.DataType]:
    if path.startswith(hub.PREFIX):
        return hub.describe(path)
    return json_tables.describe(path) if has_ending(path, LINES) else parquet.describe(path)


def _read(part: Slice, names: list[str], chunk_bytes: int, max_bytes: int) -> Generator[Batch, None, None]:
    shape: Mapping[str, pl.DataType] = dict.fromkeys(names, pl.String())
    if not part.path.startswith(hub.PREFIX) and has_ending(part.path, LINES):
        yield from json_tables.read(part, shape, chunk_bytes, max_bytes)
    else:
        yield from read_table(part, shape, chunk_bytes)


def _render(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Add what is read of the pages of a column."""
    pages = pl.DataFrame(render_pages(rows[name].to_arrow(compat_level=pl.CompatLevel.oldest())))
    return pl.concat([rows, pages.rename(lambda column: _MADE + column)], how="horizontal")


def _make_columns(chosen: Mapping[str, str], reading: Reading) -> dict[str, Column | pl.Expr]:
    """Say how the columns of a document are made of those of the table."""
    options = cast("Options", reading.options)
    body, url = pl.col(chosen["text"]), pl.col(chosen["url"]) if "url" in chosen else _NOTHING
    columns: dict[str, Column | pl.Expr] = {
        "source": pl.lit(NAME),
        "doc_id": name_document(url, body),
        "url": blank_to_null(url),
        "text": text(chosen["text"]),
        "license": pl.lit(options.license),
    }
    if options.markup == "html":
        made = {name: pl.col(_MADE + name) for name in PAGE.names}
        columns["url"] = pl.coalesce(blank_to_null(url), made["url"])
        columns["text"] = Column(made["text"])
        columns["metadata"] = pl.struct(title=made["title"]).struct.json_encode()
    if "id" in chosen:
        columns["doc_id"] = pl.format("{}/{}", pl.lit(reading.community), pl.col(chosen["id"]))
    if "date" in chosen:
        columns["crawled_at"] = iso_time(chosen["date"])
    return {name: columns[name] for name in DOCUMENT.names if name in columns}
