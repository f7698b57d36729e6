"""Posts out of rows of JSON lines: made of declared columns (`miners.columns`), less those that are no posts."""

from collections.abc import Mapping
from functools import cache
from itertools import compress, product

import polars as pl
import pyarrow as pa

from miners.columns import Column, make_rows
from miners.formats.json_lines import Lines
from miners.source import Reading
from schemas.drops import DROP, DropReason
from schemas.inputs import POST, Flag
from schemas.outcome import Outcome

_NO_TEXT = pl.lit(None, pl.String)
_NO_DROPS: Mapping[DropReason, pl.Expr] = {}


def list_flags(signs: Mapping[Flag, pl.Expr]) -> pl.Expr:
    """List the flags whose sign is true; a sign that is null is not.

    Each combination's list is looked up: to build lists row by row is twenty times slower.
    """
    bits = [sign.fill_null(value=False).cast(pl.Int64) for sign in signs.values()]
    code = pl.sum_horizontal(bit * 2**place for place, bit in enumerate(reversed(bits)))
    return pl.lit(_combinations(tuple(signs)), dtype=pl.List(pl.String)).gather(code)


@cache
def _combinations(flags: tuple[Flag, ...]) -> pl.Series:
    names = [str(name) for name in flags]
    lists = [list(compress(names, bits)) for bits in product((0, 1), repeat=len(names))]
    return pl.Series(lists, dtype=pl.List(pl.String))


def make_posts(
    lines: Lines,
    reading: Reading,
    source: str,
    columns: Mapping[str, Column | pl.Expr],
    *,
    drops: Mapping[DropReason, pl.Expr] = _NO_DROPS,
    schema: pa.Schema = POST,
) -> Outcome:
    """Make posts of rows: those for which a `drops` holds are dropped, those with a fault are quarantined.

    columns: by name of POST; those left out are null, but `source` and, from the reading, `community`.
    drops: the first that holds counts; they are looked at before faults are, so that no drop is a fault.
    schema: POST, and behind it any columns that the source's joins need.
    """
    given = {"source": pl.lit(source), "community": pl.lit(reading.community), **columns}
    made = {name: column if isinstance(column, Column) else Column(column) for name, column in given.items()}
    ref = made["post_id"].value.cast(pl.String)
    rows, dropped = _drop(lines, ref, drops)
    kept, refused = make_rows(rows, made, ref, schema)
    broken = [lines.broken, dropped, lines.quarantine(refused)]
    gone = pa.concat_tables(broken).sort_by("offset")  # as in the file, however it is cut into chunks
    return Outcome(kept, gone, kept.num_rows + gone.num_rows)


def _drop(lines: Lines, ref: pl.Expr, drops: Mapping[DropReason, pl.Expr]) -> tuple[pl.DataFrame, pa.Table]:
    """Part the rows that a source declares not to be posts from the rest."""
    if not drops:
        return lines.frame, DROP.empty_table()
    reasons = [pl.when(holds.fill_null(value=False)).then(pl.lit(str(reason))) for reason, holds in drops.items()]
    reason = lines.frame.select(reason=pl.coalesce(_NO_TEXT, *reasons)).to_series()
    gone = lines.frame.with_columns(reason).filter(reason.is_not_null())
    table = lines.origin.locate(gone.select("offset", "reason", ref=ref, detail=_NO_TEXT, row=_NO_TEXT))
    return lines.frame.filter(reason.is_null()), table.select(DROP.names).to_arrow().cast(DROP)
