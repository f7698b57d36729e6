"""Columns of posts: what is taken, what is quarantined and in which words."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miners.columns import Column, flag, iso_time, number, text, unix_time
from miners.formats.json_lines import Lines, cut_file, read_lines
from miners.posts import list_flags, make_posts
from miners.source import NoOptions, Reading
from schemas.drops import DROP, DropReason
from schemas.inputs import POST, Flag
from schemas.outcome import Outcome

READING = Reading("c.example", "pepper", NoOptions())
FIELDS = dict.fromkeys(("id", "body", "value"), pl.String())
MEANT = {
    "post_id": text("id", required=True),
    "kind": pl.lit("question"),
    "markup": pl.lit("plain"),
    "body": text("body"),
    "score": pl.lit(1),
}
NUMBER, SECONDS = "a whole number of 64 bits", "seconds after 1970, of a year up to 2100"
TIME = "a time like 2014-01-21T20:26:05Z, of a year from 1970 to 2100"


@pytest.fixture
def lines(tmp_path):
    """Read rows as a source does."""

    def read(*rows: dict) -> Lines:
        (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
        [found] = read_lines(cut_file(str(tmp_path / "rows.jsonl"), "posts", 1 << 30)[0], FIELDS, chunk_bytes=1 << 20)
        return found

    return read


def make(lines: Lines, drops=None, **columns) -> Outcome:
    outcome = make_posts(lines, READING, "src", MEANT | columns, drops=drops or {})
    outcome.tally()
    assert outcome.kept.schema == POST
    assert outcome.dropped.schema == DROP
    return outcome


def evaluate(column: Column, *values: object) -> list[object]:
    return pl.DataFrame({"value": pl.Series([*values], dtype=pl.String)}).select(column.value).to_series().to_list()


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("-7", -7),
        ("5.0", 5),
        ("1e3", 1000),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", None),
        ("9007199254740993.0", None),
        ("1e30", None),
        ("5.5", None),
        ("NaN", None),
        ("inf", None),
        ("true", None),
        ("", None),
        (None, None),
    ],
)
def test_numbers(written, value):
    assert evaluate(number("value"), written) == [value]


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_whole_number_is_exact(value):
    assert evaluate(number("value"), str(value)) == [value]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0", utc(1970, 1, 1)),
        ("1134365188", utc(2005, 12, 12, 5, 26, 28)),
        ("1134365188.25", utc(2005, 12, 12, 5, 26, 28, 250_000)),
        ("4133980799", utc(2100, 12, 31, 23, 59, 59)),
        ("4133980800", None),
        ("1515622828800", None),  # milliseconds: the year 50,000
        ("-1", None),
        ("1e999", None),
        ("NaN", None),
        ("soon", None),
    ],
)
def test_unix_times(written, value):
    assert evaluate(unix_time("value"), written) == [value]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2020-01-02T03:04:05Z", utc(2020, 1, 2, 3, 4, 5)),
        ("2020-01-02t03:04:05z", utc(2020, 1, 2, 3, 4, 5)),
        ("2020-01-02 03:04:05.678901", utc(2020, 1, 2, 3, 4, 5, 678_000)),
        ("2020-01-02T03:04:05+02:00", utc(2020, 1, 2, 1, 4, 5)),
        ("2020-01-02T03:04:05.5-0330", utc(2020, 1, 2, 6, 34, 5, 500_000)),
        ("1969-12-31T23:59:59Z", None),
        ("50000-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00Z", None),
        ("2020-13-01T00:00:00Z", None),
        ("2020-01-02", None),
        ("1134365188", None),
        ("yesterday", None),
    ],
)
def test_iso_times(written, value):
    assert evaluate(iso_time("value"), written) == [value]


@settings(max_examples=50)
@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 12, 31), timezones=st.timezones()))  # noqa: DTZ001
def test_every_iso_time_is_its_moment(moment):
    [read] = evaluate(iso_time("value"), moment.replace(microsecond=0).isoformat())
    wanted = moment.replace(microsecond=0).astimezone(UTC)
    seconds_of_zone = moment.utcoffset().total_seconds() % 60  # a local mean time: no dump writes such
    assert read == (None if seconds_of_zone or not 1970 <= wanted.year <= 2100 else wanted)


def test_signs():
    values = evaluate(flag("value"), "true", "True", "1", "false", "0", None, "2", "yes")
    assert values == [True, True, True, False, False, None, None, None]


@given(st.lists(st.tuples(*[st.sampled_from([True, False, None])] * 3), min_size=1))
def test_flags_are_listed_in_the_order_of_their_signs(rows):
    flags = (Flag.NSFW, Flag.PINNED, Flag.BOT)
    frame = pl.DataFrame(rows, dict.fromkeys(map(str, flags), pl.Boolean), orient="row")
    found = frame.select(list_flags({name: pl.col(str(name)) for name in flags})).to_series().to_list()
    assert found == [[str(name) for name, sign in zip(flags, row, strict=True) if sign] for row in rows]


def test_columns_not_named_are_null_and_the_community_is_that_of_the_reading(lines):
    [row] = make(lines({"id": 1, "body": "b"})).kept.to_pylist()
    assert {name: value for name, value in row.items() if value is not None} == {
        "source": "src",
        "community": "c.example",
        "post_id": "1",
        "kind": "question",
        "body": "b",
        "markup": "plain",
        "score": 1,
    }


def test_the_row_may_say_its_community(lines):
    kept = make(lines({"id": 1, "body": "b", "value": "r/x"}), community=pl.col("value")).kept
    assert kept["community"].to_pylist() == ["r/x"]


@pytest.mark.parametrize(
    ("row", "columns", "detail"),
    [
        ({"value": "x"}, {"score": number("value")}, f"`score` is `x`, not {NUMBER}"),
        ({"value": {"x": 1}}, {"views": number("value")}, f'`views` is `{{"x": 1}}`, not {NUMBER}'),
        ({"value": "x" * 99}, {"views": number("value")}, f"`views` is `{'x' * 80}`, not {NUMBER}"),
        ({}, {"score": number("value")}, "`score` is missing"),
        ({}, {"created_at": unix_time("value", required=True)}, "`created_at` is missing"),
        ({"value": "1e12"}, {"created_at": unix_time("value")}, f"`created_at` is `1e12`, not {SECONDS}"),
        ({"value": "x"}, {"created_at": iso_time("value")}, f"`created_at` is `x`, not {TIME}"),
        ({"value": "x"}, {"accepted": flag("value")}, "`accepted` is `x`, not true or false"),
        ({}, {"title": text("value", required=True)}, "`title` is missing"),
        ({}, {"body": pl.col("value")}, "`body` is missing"),
    ],
)
def test_faults_are_quarantined_in_words(lines, row, columns, detail):
    outcome = make(lines({"id": 1, "body": "b", "value": "5"}, {"id": 7, "body": "b"} | row), **columns)
    [dropped] = [found for found in outcome.dropped.to_pylist() if found["ref"] == "7"]
    assert (dropped["reason"], dropped["ref"], dropped["detail"]) == (DropReason.BAD_ATTRIBUTE, "7", detail)
    assert json.loads(dropped["row"])["id"] == 7
    assert outcome.rows_in == 2


def test_a_value_that_is_absent_is_no_fault(lines):
    outcome = make(lines({"id": 1, "body": "b"}), views=number("value"), edited_at=iso_time("value"))
    assert outcome.kept["views"].to_pylist() == [None]


def test_the_first_reason_to_drop_counts_and_comes_before_faults(lines):
    drops = {DropReason.REMOVED: pl.col("body") == "gone", DropReason.NOT_A_POST: pl.col("value") == "ad"}
    given = [
        {"id": 1, "body": "gone", "value": "ad"},
        {"id": 2, "body": "b", "value": "ad"},
        {"id": 3, "value": "ad"},
        {"id": 4},
        {"id": 5, "body": "b"},
    ]
    outcome = make(lines(*given), drops)
    found = [(row["reason"], row["ref"], row["offset"] is not None) for row in outcome.dropped.to_pylist()]
    assert found == [
        (DropReason.REMOVED, "1", True),
        (DropReason.NOT_A_POST, "2", True),
        (DropReason.NOT_A_POST, "3", True),
        (DropReason.BAD_ATTRIBUTE, "4", True),
    ]
    assert outcome.kept["post_id"].to_pylist() == ["5"]


def test_lines_that_could_not_be_read_stay_counted(lines, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"id":1,"body":"b"}\n{"id":\n')
    [found] = read_lines(cut_file(str(tmp_path / "bad.jsonl"), "posts", 1 << 30)[0], FIELDS, chunk_bytes=1 << 20)
    outcome = make(found)
    assert (outcome.rows_in, outcome.kept.num_rows) == (2, 1)
    assert outcome.dropped["reason"].to_pylist() == [DropReason.MALFORMED_ROW]
