"""Against a server that fails as it is told: what goes over the wire is what is tested."""

import re
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.scripted_server import Script, Server, draw_failure, label_of, scripted
from flows.judging.client import Client, Pace
from miners.chats.mining.questions import judge_fingerprint
from miners.chats.mining.rubrics import find_rubric
from schemas.chat_sections import Judge
from schemas.errors import FatalError, RecipeError, TransientError
from schemas.judging import ANSWER, QUESTION

RUBRIC = find_rubric("wildreward")
HURRIED = Pace(backoff=0.002, longest=0.02, knock=0.01, patience=20)
STATES = {"wrong": "unparseable", "empty": "unparseable", "length": "unparseable", "refusal": "refused"}
STATES |= {"filter": "refused", "long": "error", None: "ok"}


def make_questions(count, start=0):
    numbers = range(start, start + count)
    rows = [{"key": f"{n:07x}{0:025x}", "uid": f"u{n}", "vote": 0, "text": f"Question {n}?"} for n in numbers]
    return pa.Table.from_pylist(rows, schema=QUESTION)


def number_of(row):
    return int(row["key"][:7], 16)


def make_judge(*servers, **changes):
    urls = tuple(getattr(server, "url", server) for server in servers)
    return Judge(**{"kind": "server", "urls": urls, "model": "m", "in_flight": 16, "timeout": 20} | changes)


def ask(judge, *tables, rubric=RUBRIC, pace=HURRIED, **options):
    answers = []
    try:
        Client(judge, rubric, pace=pace, **options).answer(iter(tables), answers.append)
    finally:
        ask.answered = pa.concat_tables([ANSWER.empty_table(), *answers])
    assert ask.answered.schema == ANSWER
    return ask.answered.sort_by("key").to_pylist()


def states_of(rows):
    return Counter(row["state"] for row in rows)


def check_labels(rows):
    """No wrong label: an answer is the one that the server gave, and only where the state is ok."""
    for row in rows:
        expected = label_of(f"Question {number_of(row)}?", RUBRIC.answers)
        assert row["answer"] == (expected if row["state"] == "ok" else None)


def test_every_question_gets_its_answer():
    with scripted(Script()) as server:
        judge = make_judge(server)
        rows = ask(judge, make_questions(30), make_questions(0), make_questions(300, 30))
        assert set(server.calls.values()) == {1}
    assert [number_of(row) for row in rows] == list(range(330))
    assert states_of(rows) == {"ok": 330}
    check_labels(rows)
    one = rows[0]
    assert one["judge"] == judge_fingerprint(RUBRIC, judge)
    assert (one["rubric"], one["model"], one["tries"], one["detail"]) == ("wildreward@2", "m", 1, None)
    assert (one["prompt_tokens"], one["completion_tokens"]) == (len("Question 0?") // 4, 1)
    assert one["probs"][int(one["answer"]) - 1] == pytest.approx(0.7)


def test_a_request_is_what_the_rubric_and_the_recipe_say(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "secret-1")
    with scripted(Script()) as server:
        ask(make_judge(server, api_key="JUDGE_KEY"), make_questions(1))
        body, head = server.bodies[-1], server.headers[-1]
    assert body["messages"][0] == {"role": "system", "content": RUBRIC.system}
    assert body["messages"][1:] == [{"role": "user", "content": "Question 0?"}]
    assert body["structured_outputs"] == {"choice": ["1", "2", "3", "4", "5"]}
    assert (body["model"], body["temperature"], body["top_logprobs"]) == ("m", 0, 20)
    assert "seed" not in body
    assert "Authorization: Bearer secret-1" in head


def test_votes_are_drawn_with_seeds_of_their_own():
    with scripted(Script()) as server:
        ask(make_judge(server, votes=2, temperature=0.5), make_questions(3))
        seeds = [body["seed"] for body in server.bodies if "Question" in body["messages"][1]["content"]]
    assert sorted(seeds) == [0, 1, 2]  # of the keys, which differ by vote


def test_nothing_to_ask_needs_no_server():
    assert ask(make_judge("http://127.0.0.1:9/v1")) == []


MISFORTUNES = {"429": 0.06, "500": 0.05, "503": 0.03, "drop": 0.05, "cut": 0.05}
ENDS = {"wrong": 0.04, "empty": 0.03, "refusal": 0.03, "filter": 0.03, "length": 0.03, "long": 0.03}


def test_a_judge_that_misbehaves_loses_nothing_and_gets_no_label_wrong():
    """A question's state is that of the first call which does not fail in passing; none is asked on after it."""
    script = Script(shares=MISFORTUNES | ENDS, latency=0.001)
    with scripted(script) as server:
        rows = ask(make_judge(server, tries=12), make_questions(400), make_questions(200, 400))
        calls = dict(server.calls)
    assert len({row["key"] for row in rows}) == len(rows) == 600
    check_labels(rows)
    for row in rows:
        text = f"Question {number_of(row)}?"
        assert row["tries"] == calls[text]
        assert row["state"] == STATES[draw_failure(script, text, row["tries"])]
        assert all(draw_failure(script, text, call) in MISFORTUNES for call in range(1, row["tries"]))
        assert (row["detail"] is None) == (row["state"] == "ok")


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(st.sampled_from([*MISFORTUNES, *ENDS]), st.floats(0, 0.2), max_size=4),
    st.integers(1, 3),
    st.integers(1, 40),
)
def test_rows_in_are_rows_out_whatever_happens(shares, tries, in_flight):
    with scripted(Script(shares=shares)) as server:
        rows = ask(make_judge(server, tries=tries, in_flight=in_flight), make_questions(40), make_questions(5, 40))
    assert [number_of(row) for row in rows] == list(range(45))
    check_labels(rows)


@pytest.mark.parametrize(
    ("kind", "state"), [("500", "error"), ("drop", "error"), ("cut", "error"), ("hang", "timeout")]
)
def test_a_failure_that_does_not_pass_is_a_state(kind, state):
    pace = replace(HURRIED, failures=1000)
    with scripted(Script(shares={kind: 1.0})) as server:
        rows = ask(make_judge(server, tries=3, timeout=0.4 if kind == "hang" else 20), make_questions(4), pace=pace)
        assert max(server.calls.values()) <= 3
    assert states_of(rows) == {state: 4}
    assert all(row["tries"] == 3 and row["detail"].startswith("3 tries, the last: ") for row in rows)


def test_a_question_beyond_the_context_ends_alone_and_with_the_servers_words():
    with scripted(Script(shares={"long": 0.3})) as server:
        rows = ask(make_judge(server), make_questions(60))
    (detail,) = {row["detail"] for row in rows if row["state"] == "error"}
    assert "maximum context length is 4096 tokens" in detail
    assert states_of(rows)["ok"] > 30


@pytest.mark.parametrize(("kind", "expected"), [("401", "judge.api_key"), ("404", "judge.model")])
def test_what_no_question_would_survive_stops_all_and_says_what_to_set(kind, expected):
    with (
        scripted(Script(shares={kind: 0.1})) as server,
        pytest.raises(FatalError, match=rf"127\.0\.0\.1.*status {kind}.*expected .*`{expected}`"),
    ):
        ask(make_judge(server), make_questions(200))
    check_labels(ask.answered.to_pylist())


def test_a_request_that_is_declined_again_and_again_stops_all():
    with scripted(Script(shares={"400": 1.0})) as server, pytest.raises(FatalError, match="scripted 400"):
        ask(make_judge(server), make_questions(200))


def test_a_single_declined_question_is_its_own_error():
    with scripted(Script(shares={"400": 0.1})) as server:
        rows = ask(make_judge(server), make_questions(100))
    assert set(states_of(rows)) == {"ok", "error"}


def test_a_server_that_asks_for_patience_gets_fewer_requests_and_all_questions_are_answered():
    with scripted(Script(latency=0.005, capacity=4)) as server:
        rows = ask(make_judge(server, in_flight=32), make_questions(300))
        refused = server.kinds["429"]
    assert states_of(rows) == {"ok": 300}
    assert refused < 300  # at the full rate seven of eight calls would be refused: 2,000


def test_patience_costs_no_try():
    with scripted(Script(shares={"429": 0.5})) as server:
        rows = ask(make_judge(server, tries=1), make_questions(50))
    assert states_of(rows) == {"ok": 50}
    assert max(row["tries"] for row in rows) > 1


def test_retry_after_is_honoured():
    with scripted(Script(shares={"503": 1.0}, first_only=True, retry_after=0.3)) as server:
        rows = ask(make_judge(server, in_flight=2), make_questions(2))
    assert states_of(rows) == {"ok": 2}
    assert all(row["seconds"] >= 0.3 for row in rows)


def test_more_requests_than_allowed_are_never_under_way():
    with scripted(Script(latency=0.003)) as server:
        ask(make_judge(server, in_flight=8), make_questions(100))
        assert server.most_under_way == 8


def test_several_servers_share_the_questions_and_each_is_asked_once():
    with scripted(Script(latency=0.02)) as one, scripted(Script(latency=0.02)) as two:
        ask(make_judge(one, two, in_flight=8), make_questions(200))
        assert max(one.most_under_way, two.most_under_way) <= 8
        assert min(one.calls.total(), two.calls.total()) > 20
        assert set((one.calls + two.calls).values()) == {1}


def test_a_server_that_dies_and_comes_back_is_waited_for():
    with scripted(Script(latency=0.001, dies_after=60, dead_for=0.3)) as server:
        rows = ask(make_judge(server), make_questions(200))
        assert server.died_at is not None
        assert server.probes >= 2
        assert sum(count - 1 for count in server.calls.values()) <= 16 * 2  # no more than was under way is repeated
    assert states_of(rows) == {"ok": 200}
    check_labels(rows)


def test_a_server_that_stays_dead_is_given_up_and_what_was_done_is_kept():
    pace = replace(HURRIED, patience=0.2)
    with scripted(Script(dies_after=60)) as server, pytest.raises(TransientError, match="what was answered is kept"):
        ask(make_judge(server, tries=50), make_questions(200), pace=pace)
    kept = ask.answered.to_pylist()
    assert len({row["key"] for row in kept}) == len(kept) >= 60 - 16
    check_labels(kept)


def test_a_server_that_is_waited_for_is_named_once_each_time_it_goes():
    said = []
    with scripted(Script(latency=0.001, dies_after=60, dead_for=0.3)) as server:
        ask(make_judge(server), make_questions(200), say=said.append)
        [words] = [one for one in said if "no answer" in one]
        assert words.startswith(f"{server.url}: no answer (")
    said.clear()
    with pytest.raises(TransientError):
        ask(
            make_judge("http://127.0.0.1:9/v1"), make_questions(1), pace=replace(HURRIED, patience=0.1), say=said.append
        )
    assert [words.partition(" (")[0] for words in said] == ["http://127.0.0.1:9/v1: no answer"]


def test_a_dead_server_of_two_is_taken_out():
    with scripted(Script(latency=0.001)) as one, scripted(Script(latency=0.001, dies_after=20)) as two:
        rows = ask(make_judge(one, two, "http://127.0.0.1:9/v1", tries=8), make_questions(200))
        assert two.calls.total() <= 20 + 16
    assert states_of(rows) == {"ok": 200}


def test_the_sink_has_an_answer_before_its_slot_is_free():
    """So a killed process repeats no more than what was under way: at each moment the sink misses at most that."""
    with scripted(Script()) as server:
        seen = []

        def sink(answers):
            seen.append(server.calls.total() - sum(seen_rows for seen_rows, _ in seen))
            seen[-1] = (answers.num_rows, seen[-1])

        Client(make_judge(server, in_flight=8), RUBRIC, pace=HURRIED).answer([make_questions(300)], sink)
    assert sum(rows for rows, _ in seen) == 300
    assert max(missing for _, missing in seen) <= 8


def test_questions_are_taken_as_there_is_room():
    taken, done = [], []

    def tables():
        for at in range(20):
            taken.append((at, sum(done)))
            yield make_questions(50, at * 50)

    with scripted(Script(latency=0.001)) as server:
        client = Client(make_judge(server, in_flight=4), RUBRIC, pace=HURRIED)
        client.answer(tables(), lambda answers: done.append(answers.num_rows))
    assert sum(done) == 1000
    assert all(answered >= 50 * (at - 1) - 8 for at, answered in taken)  # one table ahead, and the workers' questions


@pytest.mark.parametrize("where", ["questions", "sink"])
def test_a_fault_of_the_callers_comes_out_as_it_is(where):
    def tables():
        yield make_questions(20)
        if where == "questions":
            raise KeyError("partition")

    def sink(_):
        if where == "sink":
            raise KeyError("ledger")

    with scripted(Script()) as server, pytest.raises(KeyError):
        Client(make_judge(server), RUBRIC, pace=HURRIED).answer(tables(), sink)


# what a server honours


def test_a_server_that_ignores_the_constraint_silently_is_found_out():
    with scripted(Script(honours=("response_format",))) as server:
        rows = ask(make_judge(server), make_questions(20))
        assert "response_format" in server.bodies[-1]
        assert "structured_outputs" not in server.bodies[-1]
    assert states_of(rows) == {"ok": 20}
    check_labels(rows)


def test_a_server_that_refuses_the_constraint_is_asked_otherwise():
    with scripted(Script(honours=("response_format",), strict=True)) as server:
        assert states_of(ask(make_judge(server), make_questions(5))) == {"ok": 5}


def test_a_server_that_only_obeys_words_is_read_strictly():
    with scripted(Script(honours=(), shares={"wrong": 0.2})) as server:
        rows = ask(make_judge(server), make_questions(50))
        assert not {"response_format", "structured_outputs"} & set(server.bodies[-1])
    assert set(states_of(rows)) == {"ok", "unparseable"}
    check_labels(rows)


def test_a_server_that_keeps_to_nothing_is_no_judge():
    with scripted(Script(honours=(), obeys=False)) as server:
        with pytest.raises(FatalError, match=r"does not keep to the answers.*Paris.*vLLM 0\.12"):
            ask(make_judge(server), make_questions(5))
        assert not server.calls


def test_answers_that_are_cut_off_are_told_with_what_to_set(monkeypatch):
    complete = Server._complete

    def reason(server, body, text, kind):
        [choice] = complete(server, body, text, kind)["choices"]
        return {"choices": [choice | {"message": {"content": None, "reasoning": "The"}, "finish_reason": "length"}]}

    monkeypatch.setattr(Server, "_complete", reason)
    with (
        scripted(Script()) as server,
        pytest.raises(FatalError, match=r"cut off by max_tokens.*expected `judge.max_tokens` in the thousands.*reason"),
    ):
        ask(make_judge(server), make_questions(5))


def test_a_model_that_reasons_is_read_by_its_answer_alone(monkeypatch):
    complete = Server._complete

    def reason(server, body, text, kind):
        body = complete(server, body, text, kind)
        body["choices"][0]["message"]["reasoning"] = "1? No."
        body["choices"][0]["logprobs"] = {"content": [{"token": "1", "logprob": 0}, {"token": "? No.", "logprob": 0}]}
        return body

    monkeypatch.setattr(Server, "_complete", reason)
    with scripted(Script()) as server:
        rows = ask(make_judge(server), make_questions(20))
    assert {row["probs"] for row in rows} == {None}
    check_labels(rows)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Script(), "`structured_outputs` keeps it to the rubric's answers; log-probabilities found"),
        (Script(honours=["response_format"]), "warning: `response_format` keeps it to .*; no log-probabilities found"),
        (Script(honours=()), "warning: nothing but words keeps it .*; log-probabilities found"),
        (Script(logprobs=False), "warning: `structured_outputs` keeps it .*; no log-probabilities found"),
    ],
)
def test_how_a_server_is_kept_to_the_answers_is_said_once(script, words):
    said = []
    with scripted(replace(script, latency=0.001, dies_after=60, dead_for=0.1)) as server:
        ask(make_judge(server), make_questions(200), say=said.append)
        assert server.probes >= 2
        [line] = [one for one in said if "no answer" not in one]
        assert re.match(f"{re.escape(server.url)}: {words}", line)


def test_two_servers_may_speak_two_dialects():
    with scripted(Script(latency=0.02)) as one, scripted(Script(honours=("response_format",), latency=0.02)) as two:
        rows = ask(make_judge(one, two, in_flight=8), make_questions(200))
        assert min(one.calls.total(), two.calls.total()) > 10
    assert states_of(rows) == {"ok": 200}
    check_labels(rows)


def test_without_log_probabilities_there_are_none():
    with scripted(Script(logprobs=False)) as server:
        assert {row["probs"] for row in ask(make_judge(server), make_questions(5))} == {None}


# recipe


@pytest.mark.parametrize("url", ["127.0.0.1:8000/v1", "ftp://x/v1", "http://", "http://[/v1", "http://me:pw@host/v1"])
def test_an_address_that_is_none_is_refused_and_no_password_is_shown(url):
    with pytest.raises(RecipeError, match=r"judge\.urls") as caught:
        ask(make_judge(url), make_questions(1))
    assert "pw" not in str(caught.value)


def test_a_key_that_is_not_set_is_said(monkeypatch):
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(RecipeError, match="`NO_KEY` is not set"):
        ask(make_judge("http://127.0.0.1:9/v1", api_key="NO_KEY"), make_questions(1))
