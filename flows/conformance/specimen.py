"""The specimen: one source with one input to read, and what comes of reading it."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
import pyarrow as pa
from pydantic import BaseModel

from flows.conformance.forms import FORMS, Form
from miners.source import Reading, Slice, Source
from schemas.errors import InputError
from schemas.outcome import Outcome

SALT = "conformance"
WHOLE_SLICE, WHOLE_CHUNK = 64 << 20, 32 << 20  # bytes, as builds have them
MOST_BYTES = 256 << 20
"""Of a larger input this much of each table is read: the rows are compared in memory."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of a source's own sample the kit reads.

    threads: for checks of rows. mib: size aimed at for checks of memory and speed, in MiB; 0 leaves them out.
    kills: where an ingest is killed: 0 in its first slice, 1 in the middle one, 2 in the last one; none leaves it out.
    """

    threads: int = 400
    mib: float = 64
    kills: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Piece:
    """What one slice gave, in turn."""

    part: Slice
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class Specimen:
    """A source and one input of its kind.

    path, community: what `plan` and `read` are given. own: whether the input is the source's sample.
    scratch: a folder that goes when the checks are done.
    """

    source: Source
    path: str
    community: str
    options: BaseModel
    own: bool
    scratch: Path
    effort: Effort = Effort()

    @property
    def home(self) -> str:
        """The source's file; of a source that is a package, its folder."""
        file = Path(str(sys.modules[self.source.read.__module__].__file__))
        return str(file.parent if file.stem == "__init__" else file)

    @property
    def form(self) -> Form:
        """What its rows are."""
        return FORMS[self.source.route]

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The input, read as a build reads it."""
        return self.read()

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The main table with its side tables joined."""
        return self.join(self.pieces)

    def read(
        self, slice_bytes: int = WHOLE_SLICE, *, chunk_bytes: int = WHOLE_CHUNK, salt: str = SALT
    ) -> tuple[Piece, ...]:
        """Read the input in slices; every outcome must balance."""
        reading = Reading(self.community, salt, self.options, chunk_bytes)
        parts = self.source.plan(self.path, self.options, slice_bytes)
        return read_slices(self.source, take(parts, MOST_BYTES), reading)

    def join(self, pieces: Iterable[Piece]) -> pl.DataFrame:
        """Let the tables meet, as the joins of a build do. Columns of the form that are not there are null."""
        tables = gather(pieces)
        joined = join_tables(
            self.source, {self.source.main: self.source.tables[self.source.main].empty_table(), **tables}
        )
        frame = pl.DataFrame(joined)
        absent = pl.DataFrame(self.form.schema.empty_table()).schema.items() - frame.schema.items()
        return frame.with_columns(
            pl.lit(None, kind).alias(name) for name, kind in sorted(absent) if name not in frame.columns
        )


def open_sample(source: Source, folder: Path, threads: int) -> tuple[str, str]:
    """Write a source's sample; answers (path for `plan`, community)."""
    folder.mkdir(parents=True)
    return find_input(source, str(source.sample(folder, threads)))


def find_input(source: Source, path: str) -> tuple[str, str]:
    """Find the first input at a path; answers (path for `plan`, community)."""
    found = source.find(path)
    if not found:
        raise InputError(path, f"the source {source.name} finds nothing in it", "an input of its kind")
    name = min(found)
    return found[name], source.community(name)


def read_slices(source: Source, parts: Iterable[Slice], reading: Reading) -> tuple[Piece, ...]:
    """Read slices one after the other; raises BalanceError where rows were lost or invented."""
    pieces = tuple(Piece(part, tuple(source.read(part, reading))) for part in parts)
    for piece in pieces:
        for outcome in piece.outcomes:
            outcome.tally()
    return pieces


def take(parts: Sequence[Slice], most_bytes: int) -> list[Slice]:
    """Take the first slices of each table, of so many bytes together, and one at least."""
    taken: dict[str, int] = {}
    chosen = []
    for part in parts:
        if taken.get(part.table, 0) < most_bytes:
            taken[part.table] = taken.get(part.table, 0) + part.size
            chosen.append(part)
    return chosen


def gather(pieces: Iterable[Piece]) -> dict[str, pa.Table]:
    """Put what was kept of each table together: {table: rows}."""
    kept: dict[str, list[pa.Table]] = {}
    for piece in pieces:
        kept.setdefault(piece.part.table, []).extend(outcome.kept for outcome in piece.outcomes)
    return {table: pa.concat_tables(tables, promote_options="permissive") for table, tables in kept.items() if tables}


def join_tables(source: Source, tables: Mapping[str, pa.Table]) -> pa.Table:
    """Join the side tables that the input has to the main one."""
    main = tables[source.main]
    for join in source.joins:
        sides = {name: tables[name] for name in join.tables if name in tables}
        if sides:
            outcome = join.run(main, sides)
            outcome.tally()
            main = outcome.kept
    return main
