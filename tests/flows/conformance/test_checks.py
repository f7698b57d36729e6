"""Checks find what is planted, name where it is, and let sound rows pass."""

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from flows.conformance.comparison import compare_rows
from flows.conformance.conversations import check_messages
from flows.conformance.documents import check_texts
from flows.conformance.findings import Checked, Conformance, State, attempt, fault, fine, judge, warn
from flows.conformance.mutations import mutate
from flows.conformance.report import lay_out_conformance
from flows.conformance.rows import check_ids, check_license, check_people, check_scores, check_times
from flows.conformance.specimen import Specimen
from flows.conformance.threads import check_threads, count_in_circles
from miners.chats.sharegpt import SOURCE as CHATS
from miners.forums.stackexchange import SOURCE
from miners.web.pages import SOURCE as PAGES
from schemas.errors import InputError
from schemas.inputs import CONVERSATION


class Given(Specimen):
    """A specimen of the given rows; its source is not read."""

    @property
    def rows(self):
        return self.options

    def read(self, *_, salt=None, **__):
        return salt

    def join(self, salt):
        return self.rows.with_columns(pl.col(self.form.person).str.reverse()) if salt else self.rows


def specimen(changes=None, own=True):
    """Two threads of a question and two answers; `changes`: {column: its six values}."""
    frame = pl.DataFrame(
        {
            "community": ["c"] * 6,
            "thread_id": ["1"] * 3 + ["4"] * 3,
            "post_id": list("123456"),
            "parent_id": [None, "1", "1", None, "4", "4"],
            "kind": ["question", "answer", "answer"] * 2,
            "score": [0, 1, 2, 0, 5, -1],
            "license": ["CC-BY-SA-4.0"] * 6,
            "author": [f"{number:032x}" for number in range(31, 37)],
            "author_name": [None] * 5 + ["Ada"],
        },
        schema_overrides={"author_name": pl.String},
    )
    times = pl.datetime(2020, 1, 1, time_zone="UTC", time_unit="ms")
    frame = frame.with_columns(created_at=times, edited_at=times, accepted_at=times, retrieved_at=times)
    frame = frame.with_columns(pl.Series(name, values) for name, values in (changes or {}).items())
    return Given(SOURCE, "path", "c", frame, own, Path())


def documents(changes=None, own=True):
    """Four documents; `changes`: {column: its four values}."""
    frame = pl.DataFrame(
        {
            "doc_id": list("1234"),
            "url": ["https://a.example/1", "//a.example", None, "HTTP://[::1]:80/x"],
            "text": ["a", " b\n", "c", "$d$"],
            "quality": [None, 0.0, -1.5, 5.0],
            "token_count": [None, 0, 1, 2],
            "license": ["MIT"] * 4,
            "metadata": [None, "{}", '{"a":\n1}', "{}"],
        }
    )
    frame = frame.with_columns(crawled_at=pl.datetime(2020, 1, 1, time_zone="UTC", time_unit="ms"))
    return Given(
        PAGES, "path", "c", frame.with_columns(pl.Series(k, v) for k, v in (changes or {}).items()), own, Path()
    )


def conversations(changes=None, own=True, texts=(("user", "a"), ("gpt", "b"), ("User ", "c"), ("gpt", "d"))):
    """Four rows: one conversation in two parts, and two whole ones. `changes`: {column: its four values}.

    texts: (role, content) of the last row's messages.
    """
    told = [("human", "q"), ("assistant", "r"), ("human", "s")]
    parts = [told, [("assistant", "t"), ("human", "u"), ("bot", "v"), ("human", "w")], told, texts]
    columns = {
        "source": ["sharegpt"] * 4,
        "conversation_id": ["1", "1", "2", "3"],
        "part": [0, 3, 0, 0],
        "user": [f"{number:032x}" for number in range(31, 35)],
        "created_at": [datetime(2020, 1, 1, tzinfo=UTC)] * 4,
        "license": ["MIT"] * 4,
        "messages": [[{"role": role, "content": content} for role, content in part] for part in parts],
        **(changes or {}),
    }
    schema = pl.DataFrame(CONVERSATION.empty_table()).schema
    frame = pl.DataFrame({name: columns.get(name, [None] * 4) for name in schema}, schema=schema)
    return Given(CHATS, "path", "c", frame, own, Path())


def at(year):
    return pl.Series(
        [datetime(2020, 1, 1, tzinfo=UTC)] * 5 + [datetime(year, 1, 1, tzinfo=UTC)], dtype=pl.Datetime("ms", "UTC")
    )


def problems(findings):
    return [finding.what for finding in findings if finding.state is not State.OK]


@pytest.mark.parametrize("check", [check_scores, check_times, check_license, check_threads, check_people, check_ids])
def test_sound_rows_pass(check):
    assert problems(check(specimen())) == []


@pytest.mark.parametrize("check", [check_texts, check_times, check_license, check_ids])
def test_sound_documents_pass(check):
    assert problems(check(documents())) == []


@pytest.mark.parametrize(
    ("check", "changes", "message"),
    [
        (check_texts, {"text": ["a", "\t\n", "", "b"]}, "a document has no text (2 of 4 rows)"),
        (check_texts, {"url": ["a.example", "https:///x", "", None]}, "`url` is no address (3 of 4 rows)"),
        (check_texts, {"quality": [float("nan"), 1.0, float("inf"), None]}, "`quality` is no number (2 of 4 rows)"),
        (check_texts, {"token_count": [-1, 0, 1, None]}, "`token_count` is below 0 (1 of 4 rows)"),
        (check_texts, {"metadata": ["[]", "{}", "", None]}, "`metadata` is no JSON object (2 of 4 rows)"),
        (check_ids, {"doc_id": list("1123")}, "1 rows have an id that another has too, such as `1`"),
        (check_times, {"crawled_at": at(1970)[-4:]}, "`crawled_at` lies outside 1990 to tomorrow (1 of 4 rows)"),
        (check_license, {"license": ["MIT", None, "MIT", "MIT"]}, "the licence is missing in 1 rows"),
    ],
)
def test_a_fault_of_documents_is_named(check, changes, message):
    [found] = [finding for finding in check(documents(changes)) if finding.what == message]
    assert (found.state, bool(found.where and found.expected)) == (State.FAILED, True)


@pytest.mark.parametrize("check", [check_messages, check_people, check_times, check_license, check_ids])
def test_sound_conversations_pass(check):
    assert problems(check(conversations())) == []


ADDRESSES = ["192.0.2.1", "ada@example.com", None, "0" * 32]
LATE = [{"role": "user", "content": "a", "created_at": datetime(1970, 1, 1, tzinfo=UTC)}]


@pytest.mark.parametrize(
    ("check", "changes", "message"),
    [
        (check_messages, {"messages": [[], [], [], None]}, "a conversation has no message (3 of 4 rows)"),
        (check_messages, {"part": [0, -1, 0, 0]}, "`part` is below 0 (1 of 4 rows)"),
        (check_messages, {"part": [0, 7, 0, 0]}, "1 times a row of a conversation begins where none before it ends"),
        (check_messages, {"part": [0, 1, 0, 0]}, "1 times a row of a conversation begins where none before it ends"),
        (
            check_messages,
            {"messages": [[{"role": "user", "content": None}]] * 4},
            "in 4 of 4 rows no user answers a reply",
        ),
        (check_people, {"user": ADDRESSES}, "the user is no hash (2 of 4 rows)"),
        (check_people, {"user": ["0" * 32] * 4}, "4 users are the same under another salt"),
        (
            check_times,
            {"messages": [LATE, None, None, None]},
            "the time of a message lies outside 1990 to tomorrow (1 of 4 rows)",
        ),
        (check_times, {"created_at": at(1970)[-4:]}, "`created_at` lies outside 1990 to tomorrow (1 of 4 rows)"),
        (check_ids, {"part": [0, 0, 0, 0]}, "1 rows have an id that another has too, such as `1`"),
        (check_license, {"license": ["MIT", None, "MIT", "MIT"]}, "the licence is missing in 1 rows"),
    ],
)
def test_a_fault_of_conversations_is_named(check, changes, message):
    [found] = [finding for finding in check(conversations(changes)) if finding.what == message]
    assert (found.state, bool(found.where and found.expected)) == (State.FAILED, True)


def test_an_unknown_role_is_named_with_its_conversation():
    texts = [("user", "a"), ("gpt", "b"), ("Narrator", "c"), (None, "")]
    [found] = [one for one in check_messages(conversations(texts=texts)) if "role" in one.what]
    assert (found.what, found.where) == (
        "the role `Narrator` is unknown (1 of 4 rows)",
        "table conversations, conversation_id 3",
    )


def test_of_a_log_parts_may_be_missing_and_of_a_sample_they_may_not():
    changes = {"part": [0, 7, 0, 0]}
    states = [check_messages(conversations(changes, own=own))[0].state for own in (True, False)]
    assert states == [State.FAILED, State.WARNING]


def test_a_page_that_was_crawled_twice_is_no_fault_of_its_corpus():
    states = [check_ids(documents({"doc_id": list("1123")}, own=own))[0].state for own in (True, False)]
    assert states == [State.FAILED, State.WARNING]


@pytest.mark.parametrize(
    ("check", "changes", "message"),
    [
        (check_scores, {"score": ["1"] * 6}, "the score is text"),
        (check_scores, {"score": [0.5] * 6}, "the score is float64"),
        (check_scores, {"score": [3] * 6}, "the score of every reply is 3"),
        (check_times, {"created_at": ["2020"] * 6}, "`created_at` is String"),
        (check_times, {"created_at": at(1970)}, "`created_at` lies outside 1990 to tomorrow (1 of 6 rows)"),
        (check_times, {"edited_at": at(2100)}, "`edited_at` lies outside 1990 to tomorrow (1 of 6 rows)"),
        (check_times, {"edited_at": at(2019)}, "a post is edited before it is written (1 of 6 rows)"),
        (check_license, {"license": [None] + ["MIT"] * 5}, "the licence is missing in 1 rows"),
        (check_license, {"license": ["CC BY-SA 4.0"] * 6}, "the licence `CC BY-SA 4.0` is no SPDX id"),
        (check_license, {"license": ["Nonesuch-1.0"] * 6}, "the licence `Nonesuch-1.0` is none that we know"),
        (check_threads, {"kind": ["question"] * 2 + ["answer"] * 4}, "2 questions share a thread"),
        (
            check_threads,
            {"thread_id": ["t1"] * 3 + ["4"] * 3},
            "a question's thread_id is not its post_id (1 of 6 rows)",
        ),
        (check_threads, {"thread_id": ["1", "x", "x", "4", "x", "x"]}, "4 of 6 posts have no question in the input"),
        (
            check_threads,
            {"parent_id": [None, "t_1", "t_1", "t_4", "t_4", "t_4"]},
            "5 of 6 posts answer a post that is not in the input",
        ),
        (check_threads, {"parent_id": [None, "3", "2", None, "4", "4"]}, "2 posts answer each other in a circle"),
        (check_people, {"author": ["ada"] + ["0" * 32] * 5}, "the author is no hash (1 of 6 rows)"),
        (check_people, {"author": ["0" * 32] * 6}, "6 authors are the same under another salt"),
        (
            check_people,
            {"license": ["MIT"] * 6},
            "an author is named, and the licence does not ask for it (1 of 6 rows)",
        ),
        (check_ids, {"post_id": ["1", "1", "3", "4", "5", "6"]}, "1 rows have an id that another has too, such as `1`"),
    ],
)
def test_a_planted_fault_is_named(check, changes, message):
    found = check(specimen(changes))
    assert message in problems(found)
    assert all(finding.where and finding.expected for finding in found if finding.what == message)


def test_a_file_of_comments_alone_is_warned_of_and_a_sample_of_them_is_not_let_pass():
    comments = {"kind": ["answer"] * 6, "parent_id": ["x"] * 6}
    states = [{finding.state for finding in check_threads(specimen(comments, own=own))} for own in (True, False)]
    assert states == [{State.FAILED}, {State.WARNING}]


def test_only_many_wrong_rows_are_the_sources_fault():
    states = [[one.state for one in judge(wrong, 1000, fault("a", "b", "c"))] for wrong in (0, 10, 11)]
    assert states == [[], [State.WARNING], [State.FAILED]]


@given(st.lists(st.one_of(st.none(), st.integers(0, 11)), max_size=12))
def test_circles_are_counted_as_a_walk_counts_them(parents):
    def ends(at):
        for _ in range(len(parents) + 1):
            if at is None or at >= len(parents):
                return True
            at = parents[at]
        return False

    ids = [str(number) for number in range(len(parents))]
    names = [None if parent is None else str(parent) for parent in parents]
    frame = pl.DataFrame(
        {"community": ["c"] * len(ids), "post_id": ids, "parent_id": names},
        schema=dict.fromkeys(("community", "post_id", "parent_id"), pl.String),
    )
    assert count_in_circles(frame) == sum(not ends(at) for at in range(len(parents)))


@given(st.permutations(range(6)))
def test_order_is_no_difference(order):
    frame = specimen().rows
    assert list(compare_rows(frame, frame[list(order)], "a reading")) == []


def test_a_difference_is_named_with_its_column_and_values():
    frame = specimen().rows
    [found] = compare_rows(frame, frame.with_columns(score=pl.col("score") + pl.col("score").eq(5)), "a reading")
    assert found.what.startswith("`score` differs in a reading: ")
    assert '"post_id":"5","score":5' in found.what
    [found] = compare_rows(frame, frame.head(4), "a reading")
    assert found.what == "a reading gives 4 rows instead of 6"


@given(st.binary(min_size=8, max_size=400))
def test_mutations_break_a_file_and_repeat(data):
    made = mutate(data)
    assert made == mutate(data)
    assert all(value != data for how, value in made.items() if "NUL" not in how or any(data[len(data) // 2 :][:256]))


def test_whatever_a_source_raises_is_a_finding_at_its_line():
    def refuse():
        raise InputError("dump.jsonl", "is empty", "lines")

    def stumble():
        return {}["likes"]

    assert attempt(refuse, __file__).what == "it raised dump.jsonl: is empty; expected lines"
    found = attempt(stumble, __file__)
    assert (found.what, found.state) == ("it raised KeyError: 'likes'", State.FAILED)
    assert found.where.startswith(f"{__file__}:")


def test_the_page_shows_every_finding_letter_by_letter():
    checks = (
        Checked("ids", (fine("6 ids"),)),
        Checked("times", (warn("odd", "row 1", "even"), fault("[bold]x\x1b[2J", "row 2", "y"))),
    )
    console = Console(file=StringIO(), width=100, force_terminal=False, color_system=None)
    console.print(lay_out_conformance(Conformance("kitchen", "dumps", checks)))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()]
    assert lines == [
        "kitchen, read from dumps",
        " check            found",
        " " + "─" * 32,
        " ids     ok       6 ids",
        " times   failed   odd",
        "                    at row 1",
        "                    expected even",
        "                  [bold]x[2J",
        "                    at row 2",
        "                    expected y",
        "failed: times",
    ]
