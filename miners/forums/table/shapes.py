"""Shapes: which columns a mapping reads, and whether a table has them.

A shape is a polars type whose leaves are texts: a String, or a List or Struct of shapes. A Null says that nothing is
known.
"""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from miners.formats.rows import dtype_of
from miners.forums.table.mapping import Compiled
from miners.forums.table.terms import Need
from schemas.errors import RecipeError, nearest

Way = tuple[str, ...]
_SCALARS = (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Decimal, pl.Datetime, pl.Date, pl.Null)


def shape_fields(templates: Sequence[Compiled]) -> dict[str, pl.DataType]:
    """Say what is read of a table, {column: shape}; raises RecipeError where one name is read in two ways."""
    lists = {template.each for template in templates if template.each}
    leaves: dict[Way, bool] = {}
    for template in templates:
        for key, need in template.needs:
            _check_depth(template, key, need, lists)
            if need.parts in lists and need.listed:
                continue
            if leaves.setdefault(need.parts, need.listed) != need.listed:
                raise RecipeError(f"`{key}`: `{need.name}` is read as a list here, and as one text elsewhere")
    ways = [*leaves, *lists]
    return {root: _shape((root,), ways, leaves, lists) for root in dict.fromkeys(way[0] for way in ways)}


def _check_depth(template: Compiled, key: str, need: Need, lists: set[Way]) -> None:
    """Refuse to read an item's field where no item is at hand."""
    for way in lists - {template.each}:
        if need.parts[: len(way)] == way and not (need.parts == way and need.listed):
            name = ".".join(way)
            raise RecipeError(f"`{key}`: `{need.name}` stands in the list `{name}`; expected `each: {name}` beside it")


def _shape(way: Way, ways: Sequence[Way], leaves: Mapping[Way, bool], lists: set[Way]) -> pl.DataType:
    inner = dict.fromkeys(other[len(way)] for other in ways if len(other) > len(way) and other[: len(way)] == way)
    if inner and way in leaves:
        raise RecipeError(f"`{'.'.join(way)}` is read as one text, and its field `{next(iter(inner))}` as another")
    shape = pl.Struct({name: _shape((*way, name), ways, leaves, lists) for name in inner}) if inner else pl.String()
    return pl.List(shape) if way in lists or leaves.get(way) else shape


def check_columns(templates: Sequence[Compiled], found: Mapping[str, pl.DataType], where: str) -> None:
    """Compare what is read with the columns that a table has; raises RecipeError with the nearest right name."""
    for template in templates:
        for key, need in template.needs:
            if problem := _find_problem(need, template, found):
                raise RecipeError(f"{where}: `{key}` reads column `{need.name}`, {problem}")


def _find_problem(need: Need, template: Compiled, found: Mapping[str, pl.DataType]) -> str | None:
    shape: pl.DataType = pl.Struct(dict(found))
    for depth, part in enumerate(need.parts):
        if isinstance(shape, pl.List) and need.parts[:depth] == template.each:
            shape = dtype_of(shape.inner)
        if isinstance(shape, pl.Null):
            return None
        fields = {field.name: dtype_of(field.dtype) for field in shape.fields} if isinstance(shape, pl.Struct) else {}
        if part in fields:
            shape = fields[part]
        else:
            known = nearest(need.name, sorted(_list_names(found)))
            missing = f"which is not there; {known}. For the word itself, say {{value: {need.name}}}"
            return None if need.optional else missing
    item = need.parts == template.each and not need.listed
    return _compare(dtype_of(shape.inner) if item and isinstance(shape, pl.List) else shape, listed=need.listed)


def _compare(shape: pl.DataType, *, listed: bool) -> str | None:
    """Say what is wrong with a column of this shape; None where nothing is."""
    if isinstance(shape, pl.Null):
        return None
    if listed:
        return (
            None if isinstance(shape, pl.List | pl.Array) else "which is no list; expected one, or `{split: ..}` of it"
        )
    if isinstance(shape, pl.List | pl.Array):
        return "which is a list; expected `each`, or `{item: ..}` of it"
    if isinstance(shape, pl.Struct):
        return f"which is a group of columns; expected one of {', '.join(field.name for field in shape.fields)}"
    fits = shape.is_numeric() or isinstance(shape, _SCALARS)
    return None if fits else f"which holds {shape}; expected texts, numbers, times or truth values"


def _list_names(found: Mapping[str, pl.DataType], before: str = "") -> Iterator[str]:
    """List what a mapping may name: columns, and the fields in them."""
    for name, shape in found.items():
        yield before + name
        inner = dtype_of(shape.inner) if isinstance(shape, pl.List) else shape
        if isinstance(inner, pl.Struct):
            yield from _list_names({field.name: dtype_of(field.dtype) for field in inner.fields}, f"{before}{name}.")
