"""Expressions: the small language in which a mapping says what a post's columns are made of.

A bare word is a column; a bare number, `true` and `false` are themselves. Everything else is a mapping that is known by
its first word:

    {column: a, default: x, optional: true}   the column; `default` where it is empty; optional: it need not be there
    {value: x}                                x itself, for texts
    {join: [a, b], by: "/"}                   texts one behind the other; empty if one of them is
    {first_of: [a, b]}                        the first that is not empty
    {hash: [a, b]}                            32 hex digits of the SHA-256 of the texts
    {lower: a}  {strip_prefix: a, prefix: t3_}
    {split: a, by: ","}  {item: l, at: 0}     a list of texts, and one of its items (-1: the last)
    {add: [a, b]}  {subtract: [a, b]}  {multiply: [a, b]}      whole numbers
    {equals: [a, b]}  {not_equals: ..}  {greater: ..}  {less: ..}      an empty value equals nothing, and is not less
    {all: [p, q]}  {any: [p, q]}  {not: p}  {not_null: a}
    {time: a, format: iso}                    or unix, unix_ms, or a pattern such as "%Y/%m/%d"; UTC unless it says
    {lookup: a, table: {x: y}, default: z}    without `default` or `optional: true`, other values are faults

A column is what its file says, as text; what it is used for says how it is read. Nothing is evaluated as code: each
form becomes one polars expression.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add, gt, lt, mul, sub
from typing import TYPE_CHECKING, Annotated, Union

import polars as pl
from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, StrictBool, StrictInt, StrictStr, Tag

from miners.columns import unix_time
from miners.forums.table.terms import Check, Need, Scope, Term, Type, build, convert, unify
from miners.forums.table.times import read_millis, read_pattern
from schemas.errors import nearest
from schemas.identity import digest
from schemas.recipe import Section

Literal = StrictBool | StrictInt | StrictStr
Two = Annotated[tuple["Expression", "Expression"], Field()]
Some = Annotated[tuple["Expression", ...], Field(min_length=1)]

_TYPES: Mapping[type, Type] = {bool: Type.TRUTH, int: Type.NUMBER, str: Type.TEXT}


class Form(Section):
    """One form of expression."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    def compile(self, wanted: Type, scope: Scope) -> Term:  # noqa: ARG002 - only some forms can be of any type
        """Become a term, of the type wanted if the form has none of its own; raises ValueError where that cannot be."""
        return self._term(scope)

    def _term(self, scope: Scope) -> Term:
        raise NotImplementedError


class ColumnForm(Form):
    """A column's value."""

    column: Annotated[str, Field(min_length=1)]
    default: Literal | None = None
    optional: bool = False

    def compile(self, wanted: Type, scope: Scope) -> Term:
        """Read the column as text, or as a list of texts where one is wanted."""
        listed = wanted == Type.LIST
        parts = scope.split(self.column)
        value = scope.reach(parts)
        if self.default is not None:
            if listed:
                raise ValueError(f"`{self.column}` is a list: it takes no default")
            value = value.fill_null(str(self.default))
        need = Need(self.column, parts, listed, self.optional)
        return Term(value, Type.LIST if listed else Type.ANY, self.column, needs=(need,))


class ValueForm(Form):
    """A value that stands in the mapping itself."""

    value: Literal

    def _term(self, scope: Scope) -> Term:  # noqa: ARG002 - it reads no column
        return Term(pl.lit(self.value), _TYPES[type(self.value)], str(self.value))


class JoinForm(Form):
    """Texts one behind the other."""

    join: Some
    by: str = ""

    def _term(self, scope: Scope) -> Term:
        parts = _compile(self.join, Type.TEXT, scope)
        return build(
            pl.concat_str([part.value for part in parts], separator=self.by), Type.TEXT, _name("join", parts), *parts
        )


class FirstOfForm(Form):
    """The first of several that is there."""

    first_of: Some

    def compile(self, wanted: Type, scope: Scope) -> Term:
        """Coalesce terms that have one type, the wanted one or their own."""
        parts = unify(_compile(self.first_of, wanted, scope))
        return build(pl.coalesce(part.value for part in parts), parts[0].type, _name("first_of", parts), *parts)


class HashForm(Form):
    """A short id made of texts."""

    hash: Some

    def _term(self, scope: Scope) -> Term:
        parts = _compile(self.hash, Type.TEXT, scope)
        return build(digest(*(part.value for part in parts)), Type.TEXT, _name("hash", parts), *parts)


class LowerForm(Form):
    """A text in lower case."""

    lower: "Expression"

    def _term(self, scope: Scope) -> Term:
        [part] = _compile([self.lower], Type.TEXT, scope)
        return build(part.value.str.to_lowercase(), Type.TEXT, part.words, part)


class StripPrefixForm(Form):
    """A text without its beginning, where it has that."""

    strip_prefix: "Expression"
    prefix: str

    def _term(self, scope: Scope) -> Term:
        [part] = _compile([self.strip_prefix], Type.TEXT, scope)
        return build(part.value.str.strip_prefix(self.prefix), Type.TEXT, part.words, part)


class SplitForm(Form):
    """The parts of a text."""

    split: "Expression"
    by: Annotated[str, Field(min_length=1)]

    def _term(self, scope: Scope) -> Term:
        [part] = _compile([self.split], Type.TEXT, scope)
        return build(pl.when(part.value != "").then(part.value.str.split(self.by)), Type.LIST, part.words, part)


class ItemForm(Form):
    """One item of a list."""

    item: "Expression"
    at: int = 0

    def _term(self, scope: Scope) -> Term:
        [part] = _compile([self.item], Type.LIST, scope)
        return build(part.value.list.get(self.at, null_on_oob=True), Type.ANY, f"{part.words}[{self.at}]", part)


class _Arithmetic(Form):
    """Two whole numbers that give a third."""

    def _term(self, scope: Scope) -> Term:
        word, operands = next((key, value) for key, value in self if isinstance(value, tuple))
        parts = _compile(operands, Type.NUMBER, scope)
        wide = reduce({"add": add, "subtract": sub, "multiply": mul}[word], (p.value.cast(pl.Int128) for p in parts))
        value, name = wide.cast(pl.Int64, strict=False), _name(word, parts)
        check = Check(name, wide.cast(pl.String), value, "a whole number of 64 bits")
        return build(value, Type.NUMBER, name, *parts, checks=(check,))


class AddForm(_Arithmetic):
    """The sum of two numbers."""

    add: Two


class SubtractForm(_Arithmetic):
    """The difference of two numbers."""

    subtract: Two


class MultiplyForm(_Arithmetic):
    """The product of two numbers."""

    multiply: Two


class _Equality(Form):
    """Whether two values of one type are the same."""

    def _term(self, scope: Scope) -> Term:
        word, operands = next((key, value) for key, value in self if isinstance(value, tuple))
        left, right = unify(_compile(operands, Type.ANY, scope))
        same = (left.value == right.value).fill_null(value=False)
        return build(same if word == "equals" else ~same, Type.TRUTH, _name(word, [left, right]), left, right)


class EqualsForm(_Equality):
    """Whether two values are the same."""

    equals: Two


class NotEqualsForm(_Equality):
    """Whether two values differ."""

    not_equals: Two


class _Order(Form):
    """Whether one number or time is beyond another."""

    def _term(self, scope: Scope) -> Term:
        word, operands = next((key, value) for key, value in self if isinstance(value, tuple))
        terms = _compile(operands, Type.ANY, scope)
        kind = Type.TIME if any(term.type == Type.TIME for term in terms) else Type.NUMBER
        left, right = (convert(term, kind) for term in terms)
        beyond = (gt if word == "greater" else lt)(left.value, right.value).fill_null(value=False)
        return build(beyond, Type.TRUTH, _name(word, [left, right]), left, right)


class GreaterForm(_Order):
    """Whether the first is more, or later."""

    greater: Two


class LessForm(_Order):
    """Whether the first is less, or earlier."""

    less: Two


class AllForm(Form):
    """Whether all of several are true."""

    all: Some

    def _term(self, scope: Scope) -> Term:
        parts = _compile(self.all, Type.TRUTH, scope)
        value = pl.all_horizontal(part.value.fill_null(value=False) for part in parts)
        return build(value, Type.TRUTH, _name("all", parts), *parts)


class AnyForm(Form):
    """Whether one of several is true."""

    any: Some

    def _term(self, scope: Scope) -> Term:
        parts = _compile(self.any, Type.TRUTH, scope)
        value = pl.any_horizontal(part.value.fill_null(value=False) for part in parts)
        return build(value, Type.TRUTH, _name("any", parts), *parts)


class NotForm(Form):
    """Whether something is not true."""

    negated: "Expression" = Field(alias="not")

    def _term(self, scope: Scope) -> Term:
        [part] = _compile([self.negated], Type.TRUTH, scope)
        return build(~part.value.fill_null(value=False), Type.TRUTH, _name("not", [part]), part)


class NotNullForm(Form):
    """Whether something is there."""

    not_null: "Expression"

    def _term(self, scope: Scope) -> Term:
        [part] = _compile([self.not_null], Type.ANY, scope)
        return build(part.value.is_not_null(), Type.TRUTH, _name("not_null", [part]), part)


class TimeForm(Form):
    """A time that is not, or not surely, written as ISO 8601."""

    time: "Expression"
    format: str = "iso"

    def _term(self, scope: Scope) -> Term:
        if self.format == "iso":
            [part] = _compile([self.time], Type.ANY, scope)
            return convert(part, Type.TIME)
        [part] = _compile([self.time], Type.TEXT, scope)
        if self.format == "unix":
            column = unix_time(part.value)
            return _check(part, column.value, Type.TIME, column.expected)
        if self.format == "unix_ms":
            return _check(part, read_millis(part.value), Type.TIME, "milliseconds since 1970")
        return _check(part, read_pattern(part.value, self.format), Type.TIME, f"a time like {self.format}")


class LookupForm(Form):
    """What a text stands for."""

    lookup: "Expression"
    table: Annotated[dict[str, Literal], Field(min_length=1)]
    default: Literal | None = None
    optional: bool = False

    def _term(self, scope: Scope) -> Term:
        kinds = {_TYPES[type(value)] for value in (*self.table.values(), self.default) if value is not None}
        if len(kinds) > 1:
            raise ValueError(f"the values of a lookup must be of one type; they are {', '.join(sorted(kinds))}")
        [part] = _compile([self.lookup], Type.TEXT, scope)
        old, new = list(self.table), list(self.table.values())
        found = part.value.replace_strict(old, new, default=self.default)
        if self.default is not None or self.optional:
            return build(found, kinds.pop(), part.words, part)
        return _check(part, found, kinds.pop(), f"one of {', '.join(old)}")


FORMS: Mapping[str, type[Form]] = {
    "column": ColumnForm,
    "value": ValueForm,
    "join": JoinForm,
    "first_of": FirstOfForm,
    "hash": HashForm,
    "lower": LowerForm,
    "strip_prefix": StripPrefixForm,
    "split": SplitForm,
    "item": ItemForm,
    "add": AddForm,
    "subtract": SubtractForm,
    "multiply": MultiplyForm,
    "equals": EqualsForm,
    "not_equals": NotEqualsForm,
    "greater": GreaterForm,
    "less": LessForm,
    "all": AllForm,
    "any": AnyForm,
    "not": NotForm,
    "not_null": NotNullForm,
    "time": TimeForm,
    "lookup": LookupForm,
}
"""Each form by its first word."""


def _choose(value: object) -> object:
    """Give bare words and values their form, and refuse words that are none; raises ValueError."""
    if isinstance(value, str):
        return {"column": value}
    if isinstance(value, bool | int):
        return {"value": value}
    if isinstance(value, Form):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no expression; expected a column's name, or a mapping such as {{value: 1}}")  # noqa: TRY004 - pydantic wants it
    form = next((FORMS[word] for word in value if word in FORMS), None)
    if form is None:
        first = str(next(iter(value), ""))
        raise ValueError(f"`{first}` begins no expression; {nearest(first, FORMS)}")
    known = {field.alias or name for name, field in form.model_fields.items()}
    if unknown := sorted(set(map(str, value)) - known):
        raise ValueError(f"unknown key `{unknown[0]}`; {nearest(unknown[0], known)}")
    return value


def _tag(value: object) -> str:
    words = value if isinstance(value, dict) else [word for word, form in FORMS.items() if isinstance(value, form)]
    return next((word for word in words if word in FORMS), "")


if TYPE_CHECKING:
    Expression = Form
else:
    Expression = Annotated[
        Union[tuple(Annotated[form, Tag(word)] for word, form in FORMS.items())],  # noqa: UP007 - made of a table
        Discriminator(_tag),
        BeforeValidator(_choose),
    ]
"""Any form, found by its first word."""

for _form in FORMS.values():
    _form.model_rebuild()


def _compile(forms: Iterable[Form], wanted: Type, scope: Scope) -> list[Term]:
    return [convert(form.compile(wanted, scope), wanted) for form in forms]


def _check(part: Term, value: pl.Expr, kind: Type, expected: str) -> Term:
    """Make a term of a text that may turn out to be none of its kind."""
    return build(value, kind, part.words, part, checks=(Check(part.words, part.value, value, expected),))


def _name(word: str, parts: Iterable[Term]) -> str:
    return f"{word}({', '.join(part.words for part in parts)})"
