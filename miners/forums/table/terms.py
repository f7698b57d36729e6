"""Terms: what an expression of a mapping comes to, its type, and what may go wrong where it is read."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from miners.columns import Column, flag, iso_time, number


class Type(StrEnum):
    """What a term is, in the words of messages. ANY is what a column is until something wants more of it."""

    ANY = "anything"
    TEXT = "text"
    NUMBER = "a whole number"
    TIME = "a time"
    TRUTH = "true or false"
    LIST = "a list of texts"


@dataclass(frozen=True, slots=True)
class Need:
    """A column that a term reads.

    name: as the mapping writes it. parts: the way to it, from the table's column inwards. listed: wanted as a list of
    texts. optional: a table without it is right too.
    """

    name: str
    parts: tuple[str, ...]
    listed: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """A place where a value may be of the wrong type: there `raw` is not null and `value` is.

    words: what was read, such as a column's name. expected: what would have been right.
    """

    words: str
    raw: pl.Expr
    value: pl.Expr
    expected: str

    @property
    def fails(self) -> pl.Expr:
        """Whether the value of a row is of the wrong type."""
        return self.raw.is_not_null() & self.value.is_null()


@dataclass(frozen=True, slots=True)
class Term:
    """A typed expression, the checks that its value rests on, and the columns that it reads."""

    value: pl.Expr
    type: Type
    words: str
    checks: tuple[Check, ...] = ()
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean in one template.

    each: way to the list of whose items the template makes posts; None where it makes one post a row.
    names: columns of the table, so that `a.b` can be told from the field `b` of a column `a`.
    """

    each: tuple[str, ...] | None = None
    names: Collection[str] = ()

    def split(self, name: str) -> tuple[str, ...]:
        """Split a name into the way to its value; a table's column of that very name comes first."""
        return (name,) if name in self.names else tuple(name.split("."))

    def reach(self, parts: tuple[str, ...]) -> pl.Expr:
        """Say where the value at the end of a way is: in the row, or in the item that stands under ITEM."""
        depth = len(self.each) if self.each and parts[: len(self.each)] == self.each else 0
        first, rest = (ITEM, parts[depth:]) if depth else (parts[0], parts[1:])
        found = pl.col(first)
        for part in rest:
            found = found.struct.field(part)
        return found


ITEM = "\x1fitem"
"""Column in which the items of an exploded list stand."""

_READERS: Mapping[Type, Callable[[pl.Expr], Column]] = {
    Type.NUMBER: number,
    Type.TIME: lambda raw: iso_time(raw.str.replace(r"^(\d{4}-\d{2}-\d{2})$", "${1}T00:00:00Z")),
    Type.TRUTH: flag,
}


def build(value: pl.Expr, kind: Type, words: str, *parts: Term, checks: tuple[Check, ...] = ()) -> Term:
    """Make a term out of others: it rests on all their checks and needs all their columns."""
    inherited = tuple(check for part in parts for check in part.checks)
    return Term(value, kind, words, (*inherited, *checks), tuple(need for part in parts for need in part.needs))


def convert(term: Term, wanted: Type) -> Term:
    """Give a term the type that is wanted; raises ValueError where that cannot be."""
    if wanted in (Type.ANY, term.type) or (term.type, wanted) == (Type.ANY, Type.TEXT):
        return term
    if term.type == Type.ANY and wanted in _READERS:
        read = _READERS[wanted](term.value)
        check = Check(term.words, term.value, read.value, read.expected)
        return build(read.value, wanted, term.words, term, checks=(check,))
    if (term.type, wanted) == (Type.NUMBER, Type.TEXT):
        return build(term.value.cast(pl.String), wanted, term.words, term)
    raise ValueError(f"`{term.words}` is {term.type}, and {wanted} is wanted")


def unify(terms: list[Term]) -> list[Term]:
    """Give several terms one type; raises ValueError where they have two."""
    types = {term.type for term in terms} - {Type.ANY}
    if len(types) > 1:
        kinds = ", ".join(f"`{term.words}` is {term.type}" for term in terms if term.type != Type.ANY)
        raise ValueError(f"these must be of one type: {kinds}")
    return [convert(term, next(iter(types), Type.ANY)) for term in terms]
