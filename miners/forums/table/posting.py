"""Rows to posts: the templates of a mapping, applied to a batch of a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from miners.formats.rows import Batch
from miners.forums.table.mapping import Compiled, Options
from miners.forums.table.terms import ITEM, Check
from miners.posts import list_flags
from miners.source import Reading
from schemas.drops import DROP, DropReason
from schemas.errors import InputError
from schemas.identity import hash_author
from schemas.inputs import POST, Flag, Kind
from schemas.outcome import Outcome

NAME = "table"
"""Of the source."""

_REQUIRED = ("community", "thread_id", "post_id", "kind", "body", "markup", "score")
_ROW, _BAD, _REMOVED = "\x1frow", "\x1fbad", "\x1fremoved"  # beside the columns of a post
_IDS, _FLAG = ("thread_id", "post_id"), "flags."
_SHOWN_CHARS = 80  # of a wrong value, in a message
_NO_TEXT, _NEVER = pl.lit(None, pl.String), pl.lit(value=False)
_NO_POSTS = pl.DataFrame(POST.empty_table())


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that may be wrong with a post: `check` fails, or, where it expects nothing, its value is missing."""

    key: str
    check: Check

    @property
    def holds(self) -> pl.Expr:
        """Whether it is wrong."""
        return self.check.fails if self.check.expected else self.check.raw.is_null()

    @property
    def detail(self) -> pl.Expr:
        """Say in words what is wrong."""
        if not self.check.expected:
            return pl.lit(f"`{self.key}` is missing (`{self.check.words}`)")
        end = pl.lit(f"`, not {self.check.expected} (`{self.check.words}`)")
        return pl.concat_str(pl.lit(f"`{self.key}` is `"), _show(self.check.raw), end)


@dataclass(frozen=True, slots=True)
class Maker:
    """A template made ready: how posts and their columns come about, and what may be wrong with them."""

    key: str
    each: tuple[str, ...] | None
    when: pl.Expr | None
    removed: pl.Expr
    columns: dict[str, pl.Expr]
    faults: tuple[Fault, ...]

    def list_rows(self, frame: pl.DataFrame) -> pl.DataFrame:
        """List the rows, or the items, of which each gives a post."""
        if self.each:
            items = pl.col(self.each[0])
            for part in self.each[1:]:
                items = items.struct.field(part)
            frame = frame.with_columns(items.alias(ITEM)).filter(pl.col(ITEM).list.len() > 0).explode(ITEM)
        return frame if self.when is None else frame.filter(self.when)

    def make(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Make posts, marked where they are removed or bad; and list what is wrong with the bad ones."""
        rows = self.list_rows(frame)
        bad = ~self.removed & pl.any_horizontal(fault.holds for fault in self.faults)
        values = [value.cast(_NO_POSTS.schema[name]).alias(name) for name, value in self.columns.items()]
        marks = [self.removed.alias(_REMOVED), bad.fill_null(value=False).alias(_BAD)]
        posts = rows.lazy().select("offset", *values, *marks).collect()  # lazy: what columns share is computed once
        faulty = rows.filter(posts[_BAD])
        details = pl.coalesce(pl.when(fault.holds).then(fault.detail) for fault in self.faults)
        reason = pl.lit(str(DropReason.BAD_ATTRIBUTE))
        refused = faulty.select("offset", reason=reason, ref=self.columns["post_id"].cast(pl.String), detail=details)
        return posts, refused


def prepare(template: Compiled, options: Options, reading: Reading) -> Maker:
    """Make a template ready for an input."""
    terms = template.terms
    columns = _list_columns(template, options, reading)
    checks = [Fault(name, check) for name, term in template.all_terms.items() for check in term.checks]
    words = {name: terms[name].words if name in terms else name for name in _REQUIRED}
    missing = [Fault(name, Check(words[name], columns[name], columns[name], "")) for name in _REQUIRED]
    when = None
    if template.when:  # a row whose condition cannot be told is not passed over in silence
        unread = [check.fails for check in template.when.checks]
        when = pl.any_horizontal(template.when.value.fill_null(value=False), *unread)
    removed = terms["removed"].value.fill_null(value=False) if "removed" in terms else _NEVER
    return Maker(template.key, template.each, when, removed, columns, (*checks, *missing))


def _list_columns(template: Compiled, options: Options, reading: Reading) -> dict[str, pl.Expr]:
    """Say how each column of a post is made, with the defaults that follow from what a thread is."""
    given = {name: term.value for name, term in template.terms.items()}
    question, answer = given["kind"] == Kind.QUESTION, given["kind"] == Kind.ANSWER
    thread_id, post_id = (given.get(name, given.get(other)) for name, other in (_IDS, _IDS[::-1]))
    community = given.get("community", pl.lit(reading.community))
    spdx = pl.coalesce(given.get("license", _NO_TEXT), pl.lit(options.license))
    signs = {Flag(name.removeprefix(_FLAG)): sign for name, sign in given.items() if name.startswith(_FLAG)}
    made = {
        "source": pl.lit(NAME),
        "community": community,
        "thread_id": thread_id,
        "post_id": post_id,
        "parent_id": pl.when(~question).then(given.get("parent_id", pl.when(answer).then(thread_id))),
        "license": spdx,
        "flags": list_flags(signs or {Flag.BOT: _NEVER}),
    }
    if "score" not in given:
        made["score"] = given["upvotes"] - given.get("downvotes", pl.lit(0)).fill_null(0)
    if "author" in given:
        made["author"] = hash_author(given["author"], community, reading.salt)
    if "author_name" in given:  # the licences that ask for it, as in schemas.licenses
        made["author_name"] = pl.when(spdx.str.contains(r"(?i)\b(?:CC-BY-|GFDL)")).then(given["author_name"])
    plain = {name: value for name, value in given.items() if name in POST.names}
    return {**plain, **{name: value for name, value in made.items() if value is not None}}


def make_posts(batch: Batch, makers: Sequence[Maker]) -> Outcome:
    """Make the posts of a batch, in the order of its rows.

    What is counted are posts, and rows that give none: these are dropped as NOT_A_POST.
    """
    made = [maker.make(batch.frame) for maker in makers]
    posts = pl.concat([_NO_POSTS, *(posts for posts, _ in made)], how="diagonal").sort("offset", maintain_order=True)
    refused = pl.concat([refused for _, refused in made]).sort("offset", maintain_order=True)
    kept = posts.filter(~pl.col(_REMOVED) & ~pl.col(_BAD)).select(POST.names)
    table = kept.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(POST)
    silent = batch.frame.select("offset", post_id=_NO_TEXT).join(posts, on="offset", how="anti")
    dropped = [
        batch.broken,
        _drop(batch, silent, DropReason.NOT_A_POST),
        _drop(batch, posts.filter(_REMOVED), DropReason.REMOVED),
        batch.quarantine(refused),
    ]
    gone = pa.concat_tables(dropped)
    return Outcome(table, gone, table.num_rows + gone.num_rows)


def check_head(frame: pl.DataFrame, file: str, makers: Sequence[Maker]) -> None:
    """Refuse a mapping of which one key fails for over half of some rows: that is no dirty data. Raises InputError."""
    for problem, expected in (found for maker in makers for found in _find_wrong_keys(maker, frame)):
        raise InputError(file, problem, expected)


def _find_wrong_keys(maker: Maker, frame: pl.DataFrame) -> Iterator[tuple[str, str]]:
    rows = maker.list_rows(frame).filter(~maker.removed)
    for fault in maker.faults:
        failing = rows.filter(fault.holds)
        if 2 * failing.height > rows.height:
            check, count = fault.check, f"{failing.height} of the first {rows.height} values"
            offset, value = failing.head(1).select("offset", _show(check.raw).alias(_ROW)).row(0)
            what = (
                f"are not {check.expected}: row {offset} has `{value}`"
                if check.expected
                else f"are missing: row {offset}"
            )
            yield (
                f"`{maker.key}.{fault.key}` reads `{check.words}`, of which {count} {what}",
                check.expected or "a value",
            )


def _show(raw: pl.Expr) -> pl.Expr:
    return raw.cast(pl.String).str.head(_SHOWN_CHARS)


def _drop(batch: Batch, posts: pl.DataFrame, reason: DropReason) -> pa.Table:
    """Make DROP rows of what is sound and not wanted."""
    word, file = pl.lit(str(reason)), pl.lit(batch.file)
    table = posts.select(reason=word, ref="post_id", file=file, offset="offset", detail=_NO_TEXT, row=_NO_TEXT)
    return table.to_arrow().cast(DROP)
