"""Requests against a scripted server: what the environment has a say in, and what a server may not do to us."""

import pyarrow as pa
import pytest

from benchmarks.scripted_server import Script, Server, scripted
from flows.judging.client import Client, Pace
from flows.judging.pursuit import _Effort
from flows.judging.tries import Kind, Try
from miners.chats.mining.rubrics import find_rubric
from schemas.chat_sections import Judge
from schemas.errors import FatalError, TransientError
from schemas.judging import QUESTION

HURRIED = Pace(backoff=0.002, longest=0.02, knock=0.01, patience=0.05)


def ask(*urls, count=1, **changes):
    judge = Judge(**{"kind": "server", "urls": urls, "model": "m", "in_flight": 8, "tries": 1} | changes)
    rows = [{"key": f"{n:032x}", "uid": "u", "vote": 0, "text": f"Question {n}?"} for n in range(count)]
    answers = []
    client = Client(judge, find_rubric("wildreward"), pace=HURRIED)
    client.answer([pa.Table.from_pylist(rows, schema=QUESTION)], answers.append)
    return pa.concat_tables(answers).to_pylist()


def change_answers(monkeypatch, more):
    """Let the server put more into its answers to questions, and leave those to the client's own as they are."""
    complete = Server._complete

    def say(server, body, text, kind):
        return complete(server, body, text, kind) | (more if text.startswith("Question") else {})

    monkeypatch.setattr(Server, "_complete", say)


def test_a_server_elsewhere_is_asked_by_way_of_a_proxy_which_is_told_no_password(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine judge.invalid login me password pw\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("JUDGE_KEY", "secret")
    monkeypatch.setenv("no_proxy", "other.invalid")
    with scripted(Script(latency=0.01)) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        rows = ask("http://judge.invalid/v1", server.url, count=60, api_key="JUDGE_KEY")
        heads = [head.splitlines() for head in server.headers]
        with pytest.raises(TransientError, match=r"other\.invalid"):
            ask("http://other.invalid/v1")
    assert {row["state"] for row in rows} == {"ok"}
    asked = {head[0].split()[1] for head in heads}
    assert asked == {"http://judge.invalid/v1/chat/completions", "/v1/chat/completions"}  # of the second it is the host
    told = [[line for line in head if "authorization" in line.lower()] for head in heads]
    assert told == [["Authorization: Bearer secret"]] * len(heads)


def test_a_key_that_no_request_can_carry_stops_all(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "two\nlines")
    with scripted(Script()) as server, pytest.raises(FatalError, match=r"(?i)127\.0\.0\.1.*header"):
        ask(server.url, api_key="JUDGE_KEY")


def test_an_answer_that_does_not_end_is_not_read_to_its_end(monkeypatch):
    change_answers(monkeypatch, {"more": "x" * (1 << 24)})
    with scripted(Script()) as server:
        [row] = ask(server.url)
    assert (row["state"], row["detail"]) == ("error", "1 tries, the last: status 200, and more than 16 MiB")


@pytest.mark.parametrize("counts", [(True, 2**31), (-1, "7"), (1.5, None)])
def test_a_usage_that_is_no_count_is_unknown_and_costs_no_answer(counts, monkeypatch):
    change_answers(monkeypatch, {"usage": dict(zip(("prompt_tokens", "completion_tokens"), counts, strict=True))})
    with scripted(Script()) as server:
        [row] = ask(server.url)
    assert (row["state"], row["prompt_tokens"], row["completion_tokens"]) == ("ok", None, None)


def test_patience_has_no_end_that_a_number_sets():
    effort = _Effort("k", 0.0, tries=1100)
    effort.add(Try(Kind.BUSY), 0.0, Pace(longest=8))
    assert 4 <= effort.pause <= 12
