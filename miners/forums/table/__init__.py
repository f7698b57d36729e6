"""Any table, by a mapping alone: Parquet, CSV, TSV, JSON Lines, SQLite, or a data set of the Hub.

    inputs:
      - source: table
        path: data                     # a file, or a folder of the files of one table; a glob gives many tables
        options: {rows: [...]}         # the mapping, see `mapping.py`; or, beside the data, a file mapping.yaml

A mapping that does not fit the table is refused when a build is planned: a column that is not there, and a key that
fails for over half of the first rows. A single value that is of the wrong type sends its row into the quarantine.
"""

import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import cast

from pydantic import BaseModel

from miners.formats.rows import Batch
from miners.forums.table import files
from miners.forums.table.mapping import Compiled, Options, compile_rows
from miners.forums.table.posting import NAME, check_head, make_posts, prepare
from miners.forums.table.sample import write_sample
from miners.forums.table.shapes import check_columns, shape_fields
from miners.source import Reading, Slice, Source
from schemas.inputs import POST, Route
from schemas.outcome import Outcome

_HEAD_BYTES, _HEAD_ROWS = 1 << 20, 1000


def plan(path: str, options: BaseModel, slice_bytes: int) -> list[Slice]:
    """Cut the files of a table, after the mapping was compared with the columns of each and the first rows of one.

    Raises InputError or RecipeError.
    """
    given = cast("Options", options)
    settled = files.settle(path, given)
    slices = [part for file in files.list_files(path, settled) for part in _plan_file(file, settled, slice_bytes)]
    _try_out(slices[0], settled)
    if given.rows:
        return slices
    # The mapping beside the data is no part of the recipe: that its changes are seen, its hash is part of each slice.
    digest = hashlib.sha256(settled.model_dump_json().encode()).hexdigest()[:32]
    return [replace(part, member=f"mapping {digest}") for part in slices]


def _plan_file(file: str, options: Options, slice_bytes: int) -> list[Slice]:
    slices = files.cut(file, options, slice_bytes)
    columns = files.describe(slices[0].path, options)
    check_columns(list(compile_rows(options, columns)), columns, file)
    return slices


def _try_out(part: Slice, options: Options) -> None:
    """Apply the mapping to the first rows."""
    templates, batches = _open(part, options, _HEAD_BYTES)
    with closing(batches):
        head = next((batch for batch in batches if batch.frame.height), None)
    if head:
        reading = Reading("", "", options)
        check_head(head.frame.head(_HEAD_ROWS), head.file, [prepare(one, options, reading) for one in templates])


def _open(part: Slice, options: Options, chunk_bytes: int) -> tuple[list[Compiled], Generator[Batch, None, None]]:
    templates = list(compile_rows(options, files.describe(part.path, options)))
    return templates, files.read(part, options, shape_fields(templates), chunk_bytes)


def read(part: Slice, reading: Reading) -> Iterator[Outcome]:
    """Read the rows of a slice, about `chunk_bytes` at a time."""
    options = files.settle(part.path, cast("Options", reading.options))
    templates, batches = _open(part, options, reading.chunk_bytes)
    makers = [prepare(template, options, reading) for template in templates]
    with closing(batches):
        for batch in batches:
            yield make_posts(batch, makers)


SOURCE = Source(
    name=NAME,
    route=Route.FORUMS,
    summary="any table, by a mapping in the recipe: Parquet, CSV, TSV, JSON Lines, SQLite, or the Hub",
    tables={"posts": POST},
    plan=plan,
    read=read,
    find=files.find,
    sample=write_sample,
    options=Options,
    version=2,
)
