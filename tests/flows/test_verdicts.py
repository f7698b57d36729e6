"""What makes a judge another one, so that its answers are asked for again: builds against a scripted server."""

import pytest

from benchmarks.scripted_server import Script, scripted
from flows.build import Build
from flows.engine import Engine, run_in_turn
from flows.executors import SerialExecutor
from miners.chats.mining.questions import judge_fingerprint
from miners.chats.mining.rubrics import find_rubric
from miners.registry import find_source
from schemas.chat_sections import Judge
from schemas.recipe import Recipe
from warehouse.root import Root


@pytest.fixture
def build(tmp_path):
    """build(server, ...) asks a judge about a few chats, in one warehouse -> how many calls that took."""
    (tmp_path / "messages").mkdir()
    find_source("messages").sample(tmp_path / "messages", 12)

    def run(server, **asked):
        judge = {"kind": "server", "model": "m", "urls": [server.url], "in_flight": 8} | asked
        inputs = [{"source": "messages", "path": "messages"}]
        recipe = Recipe.model_validate({"name": "chats", "inputs": inputs, "judge": judge, "release": {"min_rows": 1}})
        server.calls.clear()
        Build(recipe, Root(str(tmp_path / "root")), Engine(SerialExecutor(), run_in_turn), tmp_path).run()
        return server.calls.total()

    return run


def test_answers_of_another_length_are_other_answers(build):
    with scripted(Script()) as server:
        first = build(server)
        assert build(server) == 0
        assert build(server, max_tokens=99) == first > 0


def test_a_temperature_is_one_however_it_is_written():
    written = ({}, {"temperature": 0}, {"temperature": 0.0})
    judges = [Judge(kind="server", model="m", urls=("http://127.0.0.1:9/v1",), **own) for own in written]
    assert len({judge_fingerprint(find_rubric("wildreward"), judge) for judge in judges}) == 1
