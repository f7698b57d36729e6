"""Documents out of tables: what the sources of the web route share.

A published corpus is Parquet of one form (or a data set of the Hub), and differs from others in its columns alone: it
is a `Corpus`. Only the columns that its expressions name are read, row group by row group.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast
from urllib.parse import parse_qs

import polars as pl
import pyarrow as pa
from fsspec.core import url_to_fs
from pydantic import BaseModel, ConfigDict

from miners.columns import Column, make_rows
from miners.formats import hub, parquet
from miners.formats.folders import list_files
from miners.formats.rows import Batch, dtype_of
from miners.formats.streams import compression_of
from miners.source import Reading, Slice, Source
from schemas.errors import InputError, nearest
from schemas.identity import digest
from schemas.inputs import DOCUMENT, Route
from schemas.outcome import Outcome

TABLE = "documents"
"""The one table of every source of documents."""

PARQUET = (".parquet", ".pq")
"""Endings of the names of Parquet files."""


class Options(BaseModel):
    """What no row of a corpus says."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    license: str = "ODC-By-1.0"
    """SPDX id of the licence under which the corpus is published."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A published corpus: the form of its rows, and what becomes of them.

    name: of the source. schema: the columns as they are published; more in a file do no harm. columns: of DOCUMENT, as
    expressions over the published ones, all of them as text (or lists of texts).
    """

    name: str
    schema: pa.Schema
    columns: Mapping[str, Column | pl.Expr]

    def plan(self, path: str, _: BaseModel, slice_bytes: int) -> list[Slice]:
        """Cut all files between their row groups; raises InputError where a column is missing or of another type."""
        if path.startswith(hub.PREFIX):
            self.check(path, hub.describe(path))
            return hub.cut(path, TABLE)
        slices: list[Slice] = []
        for file in list_tables(path, PARQUET):
            self.check(file, parquet.describe(file))
            slices += parquet.cut(file, TABLE, slice_bytes)
        return slices

    def read(self, part: Slice, reading: Reading) -> Iterator[Outcome]:
        """Read the rows of a slice, about `chunk_bytes` at a time."""
        spdx = pl.lit(cast("Options", reading.options).license)
        columns = {"source": pl.lit(self.name), "license": spdx, **self.columns}
        for batch in read_table(part, self.shape, reading.chunk_bytes):
            yield make_documents(batch, columns)

    @property
    def shape(self) -> dict[str, pl.DataType]:
        """The columns that are read, and in which shape of texts."""
        wanted = list_inputs(self.columns)
        listed = {field.name for field in self.schema if pa.types.is_list(field.type)}
        return {
            name: pl.List(pl.String) if name in listed else pl.String() for name in self.schema.names if name in wanted
        }

    def check(self, path: str, found: Mapping[str, pl.DataType]) -> None:
        """Compare the columns of a file with the form; raises InputError that names the column."""
        published = pl.DataFrame(self.schema.empty_table()).schema
        check_columns(path, {name: published[name] for name in self.shape}, found, f"{self.name}'s columns")

    def source(self, summary: str, sample: Callable[[Path, int], Path]) -> Source:
        """Make the source of it."""
        return Source(
            name=self.name,
            route=Route.WEB,
            summary=summary,
            tables={TABLE: DOCUMENT},
            plan=self.plan,
            read=self.read,
            find=find_tables,
            sample=sample,
            options=Options,
        )


def make_documents(batch: Batch, columns: Mapping[str, Column | pl.Expr], rows: pl.DataFrame | None = None) -> Outcome:
    """Make documents of the rows of a table; rows with a fault are quarantined.

    columns: by name of DOCUMENT; those left out are null. rows: those of the batch, with more columns.
    """
    made = {name: column if isinstance(column, Column) else Column(column) for name, column in columns.items()}
    kept, refused = make_rows(batch.frame if rows is None else rows, made, made["doc_id"].value, DOCUMENT)
    gone = pa.concat_tables([batch.broken, batch.quarantine(refused)]).sort_by("offset")
    return Outcome(kept, gone, kept.num_rows + gone.num_rows)


def name_document(url: pl.Expr, text: pl.Expr) -> pl.Expr:
    """Name a document by its address, so that the same page has the same id in every corpus and crawl.

    What has no address is named by its text.
    """
    return digest(pl.coalesce(blank_to_null(url), text))


def blank_to_null(text: pl.Expr) -> pl.Expr:
    """Take an empty text for none."""
    return pl.when(text.str.len_bytes() > 0).then(text)


def read_label(metadata: pl.Expr) -> pl.Expr:
    """Read the language that fastText gave a page of InfiMM-WebMath: `__label__en` or `en` in JSON metadata."""
    return blank_to_null(metadata.str.json_path_match("$.ft_lang_label").str.strip_prefix("__label__"))


def list_inputs(columns: Mapping[str, Column | pl.Expr]) -> set[str]:
    """List the columns of which expressions are made."""
    both = ((column.value, column.raw) if isinstance(column, Column) else (column, None) for column in columns.values())
    return {name for pair in both for part in pair if part is not None for name in part.meta.root_names()}


def read_table(part: Slice, shape: Mapping[str, pl.DataType], chunk_bytes: int) -> Generator[Batch, None, None]:
    """Read a slice of Parquet or of the Hub as texts; what is not UTF-8 is set apart."""
    read = hub.read if part.path.startswith(hub.PREFIX) else parquet.read
    yield from read(part, shape, chunk_bytes)


def find_tables(path: str, endings: Sequence[str] = PARQUET) -> dict[str, str]:
    """Name inputs by their file (without its ending), folder, or configuration of a data set: {name: path}.

    A glob in a URL gives one input for each match. Raises InputError where there is nothing.
    """
    if path.startswith(hub.PREFIX):
        name, _, query = path.removeprefix(hub.PREFIX).partition("?")
        return {parse_qs(query).get("config", [PurePosixPath(name).name])[0]: path}
    fs, root = url_to_fs(path)
    entries = [root] if fs.exists(root) else sorted(fs.glob(root))
    if not entries:
        raise InputError(path, "there is no such file or folder", _describe(endings))
    named = {_stem(entry, endings): path if entry == root else str(fs.unstrip_protocol(entry)) for entry in entries}
    if len(named) < len(entries):
        raise InputError(path, "two inputs have one name", "one file or folder of each name")
    return named


def list_tables(path: str, endings: Sequence[str]) -> list[str]:
    """List the files of an input, in the order of their paths; hidden ones are left out.

    path: a file, whatever its name, or a folder tree. Raises InputError where there is none.
    """
    fs, root = url_to_fs(path)
    if not fs.isdir(root):
        return [path]
    files = list_files(path, lambda file: has_ending(file, endings)).paths
    if not files:
        raise InputError(path, f"no file in it ends in {', '.join(endings)}", _describe(endings))
    return list(files)


def has_ending(path: str, endings: Sequence[str]) -> bool:
    """Tell files of a kind by their names; what is hidden is of none."""
    name = PurePosixPath(path).name.lower()
    return name[:1] not in "._" and name.removesuffix(compression_of(name) or "").endswith(tuple(endings))


def check_columns(path: str, wanted: Mapping[str, pl.DataType], found: Mapping[str, pl.DataType], form: str) -> None:
    """Compare columns and their types with those that are wanted; raises InputError.

    form: what the wanted columns are called, for the message.
    """
    expected = f"{form}: {', '.join(wanted)}"
    for name, dtype in wanted.items():
        if name not in found:
            raise InputError(path, f"it has no column `{name}` ({nearest(name, found)})", expected)
        kind, here = _kind(dtype), _kind(found[name])
        if here not in {kind, "nothing", *_ALSO.get(kind, ())}:
            raise InputError(path, f"column `{name}` holds {here}, not {kind}", expected)


_ALSO: Mapping[str, Sequence[str]] = {
    "numbers": ["whole numbers"],
    "times": ["texts"],  # of ISO 8601
    "groups of columns": ["texts"],  # of JSON
    "lists of texts": ["lists of nothing"],
}
"""What else a column may hold."""


def _kind(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.List | pl.Array):
        return f"lists of {_kind(dtype_of(dtype.inner))}"
    kinds = {
        "nothing": isinstance(dtype, pl.Null),
        "texts": isinstance(dtype, pl.String | pl.Categorical | pl.Enum),
        "groups of columns": isinstance(dtype, pl.Struct),
        "times": dtype.is_temporal(),
        "whole numbers": dtype.is_integer(),
        "numbers": dtype.is_numeric(),
    }
    return next((kind for kind, holds in kinds.items() if holds), str(dtype))


def _stem(path: str, endings: Sequence[str]) -> str:
    """Take the name of a file without what its endings say.

    >>> _stem("finemath-4plus/train-00000-of-00064.parquet", PARQUET)
    'train-00000-of-00064'
    """
    name = PurePosixPath(path).name
    plain = name[: len(name) - len(compression_of(name) or "")]
    return next((plain[: -len(end)] for end in endings if plain.lower().endswith(end)), name)


def _describe(endings: Sequence[str]) -> str:
    return f"a folder or files that end in {', '.join(endings)}, or {hub.PREFIX}owner/name?config=.."
