"""Checks of rows: their ids, scores, times, licences and the people who wrote them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import polars as pl

from flows.conformance.comparison import compare_rows, judge_rows, locate
from flows.conformance.findings import Finding, conclude, fault, fine, judge, skip, warn
from flows.conformance.specimen import Specimen
from miners.conversations import pick
from schemas.inputs import Kind, Route
from schemas.licenses import describe_terms, needs_attribution

_HASH = "^[0-9a-f]{32}$"
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
_UNIQUE: Mapping[Route, str] = {
    Route.FORUMS: "ids that are unique within their community: prefix them with their kind or their thread",
    Route.WEB: "one id a document",
    Route.CHATS: "ids of conversations, no hashes of what was said; rows of one conversation differ in `part`",
}
_UTC_MILLIS = pl.Datetime("ms", "UTC")


def check_ids(specimen: Specimen) -> list[Finding]:
    """Check that each row's id is its own, and the same whenever it is read."""
    return conclude(_find_id_faults(specimen), f"{specimen.rows.height:,} ids, the same in two reads")


def _find_id_faults(specimen: Specimen) -> Iterator[Finding]:
    rows, keys = specimen.rows, specimen.form.keys
    repeated = rows.filter(pl.struct(keys).is_duplicated() & pl.col(keys[-1]).is_not_null())
    more = repeated.height - repeated.select(keys).n_unique()
    if more:
        what = f"{more} rows have an id that another has too, such as `{repeated[keys[-1]][0]}`"
        where = f"table {specimen.source.main}, column {keys[-1]}"
        if specimen.source.route == Route.WEB and not specimen.own:  # a page that was crawled twice
            yield warn(what, where, "none, or copies of one page: a build keeps the newest and counts the others")
        else:
            expected = _UNIQUE[specimen.source.route]
            yield from judge(more, rows.height, fault(what, where, expected))
    yield from compare_rows(rows, specimen.join(specimen.read()), "a second read of the same bytes")


def check_scores(specimen: Specimen) -> list[Finding]:
    """Check that scores are whole numbers, and tell replies apart."""
    score = specimen.rows["score"]
    where = f"table {specimen.source.main}, column score"
    if score.dtype == pl.String:
        return [fault("the score is text", where, "int64: read it with miners.posts.number")]
    if score.dtype != pl.Int64:
        return [fault(f"the score is {str(score.dtype).lower()}", where, "int64: votes are counted, not weighed")]
    replies = specimen.rows.filter(pl.col("kind") != Kind.QUESTION)["score"]
    if not replies.len():
        return [skip("no reply is in the input")]
    if replies.n_unique() == 1:
        return [fault(f"the score of every reply is {replies[0]}", where, "net votes, which differ")]
    low, high = replies.sort()[[0, -1]]
    return [fine(f"whole numbers from {low} to {high}, {replies.n_unique()} different ones")]


def check_times(specimen: Specimen) -> list[Finding]:
    """Check that times are in UTC and in the past, and that posts were written before they were edited."""
    created = specimen.rows[specimen.form.time].drop_nulls().sort()
    if not created.len():
        return [skip("no row has a time")]
    first, last = (str(time)[:10] for time in created[[0, -1]])
    return conclude(_find_time_faults(specimen), f"{first} to {last}, UTC")


def _find_time_faults(specimen: Specimen) -> Iterator[Finding]:
    rows, times = specimen.rows, specimen.form.times
    wrong = [name for name in times if rows.schema[name] != _UTC_MILLIS]
    for name in wrong:
        yield fault(f"`{name}` is {rows.schema[name]}", f"column {name}", "timestamp[ms, tz=UTC]")
    if wrong:
        return
    last = datetime.now(UTC) + timedelta(days=1)
    for name in times:
        strange = ~pl.col(name).is_between(_OLDEST, last)
        what = f"`{name}` lies outside 1990 to tomorrow"
        yield from judge_rows(specimen, strange, what, "seconds and milliseconds told apart, and UTC")
    if "edited_at" in times:
        early = pl.col("edited_at") < pl.col("created_at")
        expected = "edited_at >= created_at, or null"
        yield from judge_rows(specimen, early, "a post is edited before it is written", expected)
    if "messages" in rows.columns:
        strange = pl.col("messages").list.eval(~pick("created_at").is_between(_OLDEST, last)).list.any()
        expected = "seconds and milliseconds told apart, and UTC"
        yield from judge_rows(specimen, strange, "the time of a message lies outside 1990 to tomorrow", expected)


def check_license(specimen: Specimen) -> list[Finding]:
    """Check that every row says under which licence it may be used."""
    names = [str(name) for name in specimen.rows["license"].drop_nulls().unique().sort()]
    return conclude(_find_license_faults(specimen, names), f"in every row: {', '.join(names[:5])}")


def _find_license_faults(specimen: Specimen, names: Sequence[str]) -> Iterator[Finding]:
    expected = "an SPDX id (spdx.org/licenses), LicenseRef-NAME for terms of its own, or NOASSERTION where unknown"
    missing = specimen.rows["license"].null_count()
    if missing:
        where = locate(specimen, pl.col("license").is_null())
        yield fault(f"the licence is missing in {missing} rows", where, expected)
    for name in names:
        parts = re.split(r" (?:AND|OR) |[()]", name)
        if not all(_SPDX.fullmatch(part) for part in parts if part):
            yield fault(f"the licence `{name}` is no SPDX id", locate(specimen, pl.col("license") == name), expected)
        elif any(describe_terms(part).startswith("see ") for part in parts if part):
            yield warn(f"the licence `{name}` is none that we know", "column license", expected)


def check_people(specimen: Specimen) -> list[Finding]:
    """Check that authors or users are salted hashes, and authors named only where the licence demands it."""
    name = str(specimen.form.person)
    people = specimen.rows[name].drop_nulls()
    if not people.len():
        return [skip(f"no row names its {name}")]
    return conclude(_find_people_faults(specimen, name), f"{people.n_unique():,} {name}s as salted hashes")


def _find_people_faults(specimen: Specimen, name: str) -> Iterator[Finding]:
    expected = "schemas.identity.hash_author(id, community, reading.salt)"
    plain = ~pl.col(name).str.contains(_HASH)
    yield from judge_rows(specimen, plain, f"the {name} is no hash", expected, tolerant=False)
    other = specimen.join(specimen.read(salt="another"))[name].drop_nulls()
    same = specimen.rows[name].drop_nulls().is_in(other.implode()).sum()
    if same:
        yield fault(f"{same} {name}s are the same under another salt", f"column {name}", expected)
    if "author_name" in specimen.rows.columns:
        yield from _find_name_faults(specimen)


def _find_name_faults(specimen: Specimen) -> Iterator[Finding]:
    bound = [str(name) for name in specimen.rows["license"].drop_nulls().unique() if needs_attribution(str(name))]
    named = pl.col("author_name").is_not_null() & ~pl.col("license").is_in(bound).fill_null(value=False)
    expected = "author_name only where schemas.licenses.needs_attribution"
    yield from judge_rows(
        specimen, named, "an author is named, and the licence does not ask for it", expected, tolerant=False
    )
