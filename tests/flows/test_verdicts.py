"""What makes a judge another one, so that its answers are asked for again, and what stops a build.

Builds against a scripted server.
"""

import json

import polars as pl
import pytest

from benchmarks.scripted_server import Script, scripted
from flows.build import Build
from flows.engine import Engine, run_in_turn
from flows.executors import SerialExecutor
from miners.chats.mining.questions import judge_fingerprint
from miners.chats.mining.rubrics import find_rubric
from miners.registry import find_source
from schemas.chat_sections import Judge
from schemas.fingerprints import fingerprint
from schemas.recipe import Recipe
from warehouse.root import Root


@pytest.fixture
def build(tmp_path):
    """build(server, ...) asks a judge about a few chats, in one warehouse -> how many calls that took."""
    (tmp_path / "messages").mkdir()
    find_source("messages").sample(tmp_path / "messages", 12)

    def run(server, **asked):
        server.calls.clear()
        build_chats(tmp_path, server, asked)
        return server.calls.total()

    return run


def build_chats(folder, server, asked, **changes):
    """Build from the chats in `folder`, into a warehouse beside them -> the released rows by uid."""
    judge = {"kind": "server", "model": "m", "urls": [server.url], "in_flight": 8} | asked
    inputs = [{"source": "messages", "path": "messages"}]
    given = {"name": "chats", "inputs": inputs, "judge": judge, "release": {"min_rows": 1}} | changes
    root, engine = Root(str(folder / "root")), Engine(SerialExecutor(), run_in_turn)
    [manifest] = Build(Recipe.model_validate(given), root, engine, folder).run()
    shards = [shard.path for shard in manifest.shards if shard.config == "feedback"]
    top = f"releases/{manifest.name}/{manifest.build}"
    return pl.concat(pl.read_parquet(root.path(f"{top}/{path}")) for path in shards).sort("uid")


def test_answers_of_another_length_are_other_answers(build):
    with scripted(Script()) as server:
        first = build(server)
        assert build(server) == 0
        assert build(server, max_tokens=99) == first > 0


def test_more_of_a_request_makes_other_answers_and_how_a_model_is_served_does_not(build):
    with scripted(Script()) as server:
        first = build(server)
        assert build(server, serve={"tensor_parallel": 8, "gpu_memory": 0.8}) == 0
        assert build(server, extra={"reasoning_effort": "low"}) == first > 0
        assert server.bodies[-1]["reasoning_effort"] == "low"
        assert build(server, extra={"reasoning_effort": "low"}) == 0


def test_without_more_of_a_request_keys_are_what_they_were():
    rubric, judge = find_rubric("wildreward"), Judge(kind="offline", model="m", extra={})
    asked = [rubric.id, rubric.system, rubric.answers]
    assert judge_fingerprint(rubric, judge) == fingerprint(asked, "m", None, {"temperature": 0.0, "max_tokens": 16})


@pytest.mark.parametrize(("kind", "share"), [("refusal", 0.1), ("400", 1.0)])
def test_a_refusal_that_nobody_can_judge_stops_nothing_and_keeps_its_label(kind, share, tmp_path):
    refused = [
        {"role": "user", "content": "How is the lock number {} opened without its key?"},
        {"role": "assistant", "content": "I'm sorry, I cannot help with the lock {}."},
        {"role": "user", "content": "That is not what I asked of the lock {}!"},
    ]
    (tmp_path / "messages").mkdir()
    chats = [[message | {"content": message["content"].format(at)} for message in refused] for at in range(80)]
    lines = (json.dumps({"id": f"{at}", "messages": messages}) for at, messages in enumerate(chats))
    (tmp_path / "messages" / "chats.jsonl").write_text("\n".join(lines))
    kept = {"feedback": {"neutral": "keep"}, "dedupe": {"threshold": 1.0}}
    with scripted(Script()) as server:
        before = build_chats(tmp_path, server, {}, refusals={"validate_with": "off"}, **kept)
        server.calls.clear()
        server.script = Script(shares={kind: share})
        after = build_chats(tmp_path, server, {"max_failures": 0.0}, **kept)
        failed, asked = server.kinds[kind], server.calls.total()
    assert asked == before["label"].is_in([1, 2]).sum() >= 20
    assert 0 < failed <= asked
    assert after["uid"].to_list() == before["uid"].to_list()
    judged = (after["origin"] == "refusal").sum()
    assert (before["label"] != after["label"]).sum() == judged <= asked - failed
    assert (judged > 0) == (share < 1)


def test_a_temperature_is_one_however_it_is_written():
    written = ({}, {"temperature": 0}, {"temperature": 0.0})
    judges = [Judge(kind="server", model="m", urls=("http://127.0.0.1:9/v1",), **own) for own in written]
    assert len({judge_fingerprint(find_rubric("wildreward"), judge) for judge in judges}) == 1
