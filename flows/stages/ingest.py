"""Stages of every route: the reading of a source, and the joins of its tables."""

from collections.abc import Iterator, Mapping
from typing import Any

from flows.work import Inputs
from miners.registry import find_source
from miners.source import Reading, Slice
from schemas.errors import InputError
from schemas.outcome import NOTHING_DROPPED, Outcome
from schemas.recipe import check

Given = Mapping[str, Any]


def read_slice(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Read one slice of a source's input, a chunk at a time."""
    source = find_source(given["source"])
    reading = Reading(
        community=given["community"],
        salt=given["salt"],
        options=check(source.options, given["options"], f"options of {source.name}"),
    )
    piece = Slice(path=given["path"], **given["slice"])
    nothing = Outcome(kept=source.tables[piece.table].empty_table(), dropped=NOTHING_DROPPED, rows_in=0)
    try:
        yield from source.read(piece, reading)
        yield nothing  # for a slice in which no row begins: a stage must answer
    except OSError as error:
        raise InputError(given["path"], f"cannot be read ({error.strerror})", "a file that stays as it was") from error


def join_tables(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Let the main table of a source meet its side tables, in one bucket of their common key."""
    source = find_source(given["source"])
    [join] = [join for join in source.joins if join.name == given["join"]]
    sides = {name: inputs.table(name) for name in join.tables if inputs.has(name)}
    yield join.run(inputs.table("main"), sides)
