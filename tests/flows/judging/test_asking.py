"""Asking: every key once, failures once a build, and a ceiling."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.scripted_server import Script, scripted
from flows.judging import asking as module
from flows.judging.answering import Headway
from flows.judging.asking import Asked, ask_questions, digest_answers
from flows.judging.client import Client
from flows.judging.endpoints import Pace
from flows.progress import Silent
from miners.chats.mining.rubrics import find_rubric
from schemas.chat_sections import Judge
from schemas.errors import CeilingError, TransientError
from schemas.judging import ANSWER, QUESTION, State
from schemas.manifest import Partition
from schemas.outcome import NOTHING_DROPPED, Outcome
from warehouse.ledger import Ledger, open_ledger
from warehouse.partitions import PLAIN, write_partition
from warehouse.root import open_root

RUBRIC = find_rubric("wildreward")
HURRIED = Pace(backoff=0.01, longest=0.05, knock=0.01)


def tabulate(keys: Iterable[str]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"key": key, "uid": f"turn {key}", "vote": 0, "text": f"of {key}"} for key in keys], QUESTION
    )


@dataclass
class Scripted:
    """An answerer in this process. ends: {key: states of its askings, in turn}; then, and of others, ok."""

    ends: Mapping[str, Sequence[State]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    taken: list[int] = field(default_factory=list)
    dies_after: int | None = None
    held: int = 0  # how many answers come after the next table was taken

    def answer(self, questions: Iterable[pa.Table], sink: Callable[[pa.Table], None]) -> None:
        late: list[str] = []
        for table in questions:
            self.taken.append(table.num_rows)
            late += table["key"].to_pylist()
            self._answer(late[: max(0, len(late) - self.held)], sink)
            late = late[max(0, len(late) - self.held) :]
        self._answer(late, sink)

    def _answer(self, keys: list[str], sink: Callable[[pa.Table], None]) -> None:
        for key in keys:
            if self.dies_after is not None and self.calls.total() >= self.dies_after:
                raise TransientError("the judge is gone")
            ends = self.ends.get(key, ())
            state = ends[self.calls[key]] if self.calls[key] < len(ends) else State.OK
            self.calls[key] += 1
            sink(pa.Table.from_pylist([write_row(key, state)], ANSWER))


def write_row(key: str, state: State, /, **changes: object) -> dict[str, object]:
    row = {
        "key": key,
        "judge": "j",
        "rubric": "wildreward@2",
        "model": "m",
        "state": state,
        "answer": "4" if state == State.OK else None,
        "probs": [0.25, 0.75] if state == State.OK else None,
        "prompt_tokens": 10,
        "completion_tokens": 1,
        "seconds": 0.5,
        "tries": 1,
        "detail": None if state == State.OK else f"it was {state}",
        "answered_at": datetime.now(UTC),
    }
    return row | changes


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(open_root(str(tmp_path)))


def ask(ledger: Ledger, answerer: Scripted, *tables: Iterable[str], max_failures: float = 1.0) -> Asked:
    judge = Judge(max_failures=max_failures)
    return ask_questions(map(tabulate, tables), answerer, ledger, reporter=Silent(), judge=judge)


def states(ledger: Ledger, keys: Iterable[str]) -> dict[str, str]:
    found = ledger.find(pa.array(list(keys), pa.string()))
    return dict(zip(found["key"].to_pylist(), found["state"].to_pylist(), strict=True))


def test_each_key_is_asked_once_and_what_is_known_is_not(ledger: Ledger) -> None:
    answerer = Scripted()
    asked = ask(ledger, answerer, "aabc", "cd", "")
    assert answerer.calls == Counter("abcd")
    assert (asked.questions, asked.found, asked.asked, asked.failed) == (6, 2, 4, 0)
    assert (asked.tries, asked.prompt_tokens, asked.completion_tokens) == (4, 40, 4)
    again = ask(ledger, answerer, "abcde")
    assert answerer.calls == Counter("abcde")
    assert (again.found, again.asked, dict(again.states)) == (4, 1, {"ok": 1})


def test_where_nothing_is_missing_no_judge_is_needed(ledger: Ledger) -> None:
    ask(ledger, Scripted(), "abc")
    unreachable = Client(Judge(kind="server", model="m", urls=("http://127.0.0.1:9/v1",)), RUBRIC)
    asked = ask_questions(iter([tabulate("cab")]), unreachable, ledger, reporter=Silent(), judge=Judge())
    assert (asked.questions, asked.asked) == (3, 0)


def test_failures_are_asked_once_more_by_each_build(ledger: Ledger) -> None:
    answerer = Scripted({"a": [State.TIMEOUT, State.REFUSED], "b": [State.ERROR]})
    assert ask(ledger, answerer, "abc", "ab", "a").states == {"timeout": 1, "error": 1, "ok": 1}
    assert answerer.calls == Counter("abc")
    assert states(ledger, "abc") == {"a": "timeout", "b": "error", "c": "ok"}
    ask(ledger, answerer, "abc", "ab", "a")
    assert answerer.calls == Counter("aabbc")
    ask(ledger, answerer, "abc", "ab", "a")
    assert answerer.calls == Counter("aaabbc")
    assert states(ledger, "abc") == dict.fromkeys("abc", "ok")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tables=st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=8), max_size=4),
    ends=st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.sampled_from([*State]), max_size=2)),
    held=st.integers(0, 9),
)
def test_no_key_is_asked_twice_however_late_answers_come(
    tmp_path_factory: pytest.TempPathFactory, tables: list[list[str]], ends: dict[str, list[State]], held: int
) -> None:
    ledger = open_ledger(open_root(str(tmp_path_factory.mktemp("root"))))
    answerer = Scripted(ends, held=held)
    asked = ask(ledger, answerer, *tables)
    keys = {key for table in tables for key in table}
    assert answerer.calls == Counter(keys)
    assert asked.questions == sum(map(len, tables)) == asked.found + asked.asked
    assert states(ledger, keys) == {key: ends.get(key, [State.OK])[0] if ends.get(key) else "ok" for key in keys}


def test_an_answer_is_in_the_ledger_before_the_next_is_asked(ledger: Ledger) -> None:
    seen = []

    class Watching(Scripted):
        def answer(self, questions: Iterable[pa.Table], sink: Callable[[pa.Table], None]) -> None:
            def look(answers: pa.Table) -> None:
                sink(answers)
                seen.append(len(states(ledger, "abc")))

            super().answer(questions, look)

    ask(ledger, Watching(), "abc")
    assert seen == [1, 2, 3]


def test_a_judge_that_goes_away_keeps_what_it_answered(ledger: Ledger) -> None:
    with pytest.raises(TransientError, match="gone"):
        ask(ledger, Scripted(dies_after=3), "abcde")
    assert len(states(ledger, "abcde")) == 3
    rest = Scripted()
    ask(ledger, rest, "abcde")
    assert rest.calls.total() == 2


def test_too_many_failures_are_a_ceiling_that_says_what_they_were(ledger: Ledger) -> None:
    answerer = Scripted({"a": [State.TIMEOUT], "b": [State.TIMEOUT], "c": [State.REFUSED]})
    with pytest.raises(CeilingError, match=r"3 of 10 questions .*7 ok, 2 timeout, 1 refused.*`it was timeout` \(2\)"):
        ask(ledger, answerer, "abcdefghij", max_failures=0.2)
    assert len(states(ledger, "abcdefghij")) == 10
    ask(ledger, answerer, "abcdefghij", max_failures=0.2)


def test_just_as_many_failures_as_allowed_are_no_ceiling(ledger: Ledger) -> None:
    assert ask(ledger, Scripted({"a": [State.ERROR]}), "abcde", max_failures=0.2).failed == 1


def test_a_question_that_an_answerer_loses_is_a_failure(ledger: Ledger) -> None:
    class Careless(Scripted):
        def answer(self, questions: Iterable[pa.Table], sink: Callable[[pa.Table], None]) -> None:
            super().answer((table.slice(1) for table in questions), sink)

    with pytest.raises(CeilingError, match=r"1 of 3 questions .*1 lost"):
        ask(ledger, Careless(), "abc", max_failures=0.2)


def make_partition(ledger: Ledger, number: int, keys: Sequence[str]) -> Partition:
    outcome = Outcome(tabulate(keys), NOTHING_DROPPED, len(keys))
    return write_partition(ledger.root, "questions", f"{number:032}", [outcome], PLAIN, 0)


def test_partitions_stop_being_read_when_the_ceiling_is_surely_broken(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 4)
    keys = [[f"{number} {at}" for at in range(10)] for number in range(5)]
    parts = [make_partition(ledger, number, own) for number, own in enumerate(keys)]
    answerer = Scripted({key: [State.REFUSED] for key in keys[1]})
    with pytest.raises(CeilingError, match=r"8 of 50 questions .*18 were asked now"):
        ask_questions(parts, answerer, ledger, reporter=Silent(), judge=Judge(max_failures=0.1))
    assert answerer.taken == [4, 4, 2, 4, 4]
    asked = ask_questions(parts, answerer, ledger, reporter=Silent(), judge=Judge(max_failures=0.1))
    assert (asked.questions, asked.found, asked.asked) == (50, 10, 40)
    assert set(answerer.calls) == {key for own in keys for key in own}


class Listening(Silent):
    def __init__(self) -> None:
        self.heard: list[Headway] = []

    def ask(self, headway: Headway) -> None:
        self.heard.append(headway)


def test_a_reporter_hears_how_far_it_is(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REPORT_SECONDS", 0)
    ask(ledger, Scripted(), "ab")
    parts = [make_partition(ledger, 0, "abc"), make_partition(ledger, 1, "de")]
    reporter = Listening()
    ask_questions(parts, Scripted({"e": [State.ERROR]}), ledger, reporter=reporter, judge=Judge(max_failures=1))
    assert [one.done for one in reporter.heard] == [3, 4, 5, 5]
    last = reporter.heard[-1]
    assert (last.total, dict(last.states), last.tries, last.eta) == (5, {"ok": 2, "error": 1}, 3, 0)
    assert last.rate > 0


@given(st.permutations(range(4)), st.integers(1, 99), st.integers(1, 9))
@settings(max_examples=20)
def test_a_digest_is_of_what_matters_only(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], tokens: int, minutes: int
) -> None:
    rows = [write_row(f"k{number}", [*State][number]) for number in range(4)]
    other = {"prompt_tokens": tokens, "tries": 3, "answered_at": datetime.now(UTC) - timedelta(minutes=minutes)}
    digests = []
    for written in (rows, [rows[at] | other | {"detail": "in other words"} for at in order]):
        ledger = open_ledger(open_root(str(tmp_path_factory.mktemp("root"))))
        with ledger.writer() as writer:
            writer.append(pa.Table.from_pylist(written, ANSWER))
        digests.append(digest_answers(ledger, pa.array([f"k{at}" for at in order])))
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    "change",
    [
        {"key": "k9"},
        {"state": State.ERROR},
        {"answer": "5"},
        {"probs": [0.25, 0.7500001]},
        {"probs": [0.25]},
        {"probs": []},
        {"probs": None},
    ],
)
def test_a_digest_changes_with_what_matters(tmp_path: Path, change: dict[str, object]) -> None:
    digests = set()
    for number, row in enumerate((write_row("k0", State.OK), write_row("k0", State.OK, **change))):
        ledger = open_ledger(open_root(str(tmp_path / str(number))))
        with ledger.writer() as writer:
            writer.append(pa.Table.from_pylist([row, write_row("k1", State.OK)], ANSWER))
        digests.add(digest_answers(ledger, pa.array(["k0", "k1", "k9"])))
    assert len(digests) == 2


def test_a_digest_of_nothing_and_of_keys_that_concern_nobody(ledger: Ledger) -> None:
    nothing = digest_answers(ledger, pa.array(["a"]))
    ask(ledger, Scripted(), "b")
    assert digest_answers(ledger, pa.array(["a"])) == nothing
    assert digest_answers(ledger, pa.array(["a", "b"])) != nothing


def test_a_digest_is_the_same_on_every_machine(ledger: Ledger) -> None:
    with ledger.writer() as writer:
        writer.append(pa.Table.from_pylist([write_row("a", State.OK), write_row("b", State.TIMEOUT)], ANSWER))
    assert digest_answers(ledger, pa.array(["b", "a"])) == "91b18b5118bc9015d725fb43183f008d"


def test_a_misbehaving_server_costs_no_question(ledger: Ledger) -> None:
    shares = {"429": 0.05, "500": 0.05, "cut": 0.05, "wrong": 0.03, "empty": 0.02, "refusal": 0.03, "drop": 0.02}
    with scripted(Script(shares=shares)) as server:
        judge = Judge(kind="server", model="m", urls=(server.url,), in_flight=16, max_failures=0.3)
        client = Client(judge, RUBRIC, pace=HURRIED)
        questions = [f"{number}" for number in range(400)]
        asked = ask_questions(iter([tabulate(questions)]), client, ledger, reporter=Silent(), judge=judge)
        assert asked.asked == 400 == sum(asked.states.values())
        assert set(asked.states) <= {State.OK, State.UNPARSEABLE, State.REFUSED, State.ERROR}
        calls = server.calls.copy()
        again = ask_questions(iter([tabulate(questions)]), client, ledger, reporter=Silent(), judge=judge)
    assert again.asked == asked.failed > 0
    failed = {key for key, state in states(ledger, questions).items() if state != State.OK}
    assert len(failed) == again.failed
    assert {text for text in server.calls if server.calls[text] > calls[text]} >= {f"of {key}" for key in failed}
