"""Checks of tables: that the input can be read, and gives the columns that are declared."""

from collections.abc import Iterator, Mapping
from enum import StrEnum

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from flows.conformance.comparison import locate
from flows.conformance.findings import Finding, conclude, fault, judge, warn
from flows.conformance.specimen import Specimen
from schemas.drops import QUARANTINE, DropReason
from schemas.inputs import Flag, Kind, Markup

_WORDS: Mapping[str, type[StrEnum]] = {"kind": Kind, "markup": Markup, "flags": Flag}


def check_reading(specimen: Specimen) -> list[Finding]:
    """Check that the input can be read, that every outcome balances, and that little of it is broken."""
    pieces, main = specimen.pieces, specimen.source.main
    strange = {piece.part.table for piece in pieces} - specimen.source.tables.keys()
    if strange:
        expected = f"one of {', '.join(specimen.source.tables)}"
        return [fault(f"a slice belongs to the table `{min(strange)}`", "plan", expected)]
    outcomes = [outcome for piece in pieces for outcome in piece.outcomes]
    dropped = [str(reason) for outcome in outcomes for reason in pc.unique(outcome.dropped["reason"]).to_pylist()]
    unknown = sorted(set(dropped) - set(DropReason))
    if unknown:
        return [fault(f"a row is dropped as `{unknown[0]}`", "dropped.reason", "a DropReason (schemas/drops.py)")]
    rows, rows_in = specimen.rows.height, sum(outcome.rows_in for outcome in outcomes)
    if not rows:
        return [fault(f"{rows_in} rows were read, and none was kept", f"table {main}", specimen.form.noun)]
    broken = sum(_count_broken(outcome.dropped) for outcome in outcomes)
    found = fault(f"{broken} of {rows_in} rows are quarantined", specimen.path, "an input of this source's kind")
    seen = f"{rows:,} {specimen.form.noun} of {len(pieces)} slices; every outcome balances"
    return conclude(judge(broken, rows_in, found), seen)


def _count_broken(dropped: pa.Table) -> int:
    return int(pc.sum(pc.is_in(dropped["reason"], pa.array(sorted(QUARANTINE)))).as_py() or 0)


def check_schema(specimen: Specimen) -> list[Finding]:
    """Check that tables are what they are declared to be, the main one its route's rows and what joins need."""
    return conclude(_find_schema_faults(specimen), f"{len(specimen.source.tables)} tables, as they are declared")


def _find_schema_faults(specimen: Specimen) -> Iterator[Finding]:
    source, form = specimen.source, specimen.form.schema
    keys = [join.key for join in source.joins]
    declared = source.tables[source.main]
    needed = [*form]
    needed += [declared.field(key) for key in keys if key in declared.names and key not in form.names]
    where = f"SOURCE.tables[{source.main!r}]"
    unused = [name for name in declared.names if name not in form.names and name not in keys]
    if unused:
        expected = "the route's columns, and behind them the keys of joins"
        yield warn(f"no join needs the column `{unused[0]}`", where, expected)
        needed += [declared.field(name) for name in unused]
    yield from _compare_schemas(declared, pa.schema(needed), where)
    for join in source.joins:
        for table in (source.main, *join.tables):
            if join.key not in source.tables[table].names:
                yield fault(f"table {table} has no column `{join.key}`", f"join {join.name}", "the join's key")
    for piece in specimen.pieces:
        for outcome in piece.outcomes:
            where = f"table {piece.part.table}, slice from byte {piece.part.start} of {piece.part.path}"
            yield from _compare_schemas(outcome.kept.schema, source.tables[piece.part.table], where)
    yield from _find_value_faults(specimen)


def _compare_schemas(got: pa.Schema, wanted: pa.Schema, where: str) -> Iterator[Finding]:
    for field in wanted:
        if field.name not in got.names:
            yield fault(f"column `{field.name}` is missing", where, f"{field.type}")
        elif got.field(field.name).type != field.type:
            yield fault(f"column `{field.name}` is {got.field(field.name).type}", where, f"{field.type}")
        elif got.field(field.name).nullable != field.nullable:
            nullable = "may be null" if got.field(field.name).nullable else "may not be null"
            yield fault(
                f"column `{field.name}` {nullable}", where, "the nullability that is declared: cast to the schema"
            )
    for name in got.names:
        if name not in wanted.names:
            yield fault(f"column `{name}` is one too many", where, "no other columns than are declared")
    if sorted(got.names) == sorted(wanted.names) and got.names != wanted.names:
        yield fault("the columns stand in another order", where, ", ".join(wanted.names))


def _find_value_faults(specimen: Specimen) -> Iterator[Finding]:
    rows = specimen.rows
    for name in (field.name for field in specimen.form.schema if not field.nullable):
        if count := rows[name].null_count():
            yield fault(f"`{name}` is null in {count} rows", locate(specimen, pl.col(name).is_null()), "a value")
    for name, words in ((name, _WORDS[name]) for name in rows.columns if name in _WORDS):
        values = rows.select(name).explode(name) if rows.schema[name] == pl.List else rows.select(name)
        unknown = set(values[name].drop_nulls().unique()) - set(words)
        if unknown:
            yield fault(f"`{name}` holds `{min(map(str, unknown))}`", "table " + specimen.source.main, ", ".join(words))
    if set(rows["source"].drop_nulls().unique()) - {specimen.source.name}:
        other = pl.col("source") != specimen.source.name
        yield fault("`source` is not the source's name", locate(specimen, other), specimen.source.name)
