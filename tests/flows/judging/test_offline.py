"""The offline engine, with a stand-in for vLLM that always says its first choice; the real one: tests/judging."""

import sys

import pyarrow as pa
import pytest

from flows.judging.offline import open_offline
from miners.chats.mining.questions import judge_fingerprint
from miners.chats.mining.rubrics import find_rubric
from schemas.chat_sections import Judge
from schemas.errors import FatalError, RecipeError, TransientError
from schemas.judging import ANSWER, QUESTION

RUBRIC = find_rubric("wildreward")

VLLM = """
import json, math, os, sys
from types import SimpleNamespace as Some

class LLM:
    def __init__(self, model, generation_config, max_model_len, **options):
        print("words of the engine on its standard output, of", model)
        if model == "broken":
            raise ValueError("no such architecture")
        self.model_config = Some(max_model_len=2000)
        print("options", json.dumps(options, sort_keys=True))

    def get_tokenizer(self):
        return self

    def apply_chat_template(self, messages, tokenize, add_generation_prompt, return_dict, enable_thinking=True):
        if not enable_thinking:
            print("it does not think")
        return [ord(letter) for message in messages for letter in message["content"][-900:]]

    def generate(self, prompts, params, use_tqdm):
        if any(prompt["prompt_token_ids"][-1] == ord("!") for prompt in prompts):
            os._exit(7)
        return [self.say(prompt["prompt_token_ids"], one) for prompt, one in zip(prompts, params)]

    def say(self, prompt, params):
        answer = params.structured_outputs.choice[0 if params.seed is None else params.seed % 5]
        other = Some(decoded_token="2", logprob=math.log(0.25))
        forbidden = Some(decoded_token="3", logprob=-math.inf)
        step = {1: Some(decoded_token=answer, logprob=math.log(0.75)), 2: other, 3: forbidden}
        end = {0: Some(decoded_token=None, logprob=0.0)}
        if prompt[-1] == ord("?"):
            answer = f"<think>It is {answer}: {answer}</think>\\n{answer}"
        said = Some(text=answer, finish_reason="stop", token_ids=[1, 0], logprobs=[step, end])
        return Some(prompt_token_ids=prompt, outputs=[said])
"""

PARAMS = """
from types import SimpleNamespace

def StructuredOutputsParams(choice):
    return SimpleNamespace(choice=choice)

def SamplingParams(temperature, max_tokens, seed, logprobs, structured_outputs):
    assert logprobs == 20
    return SimpleNamespace(seed=seed, structured_outputs=structured_outputs)
"""


@pytest.fixture(autouse=True)
def python(tmp_path, monkeypatch):
    """An interpreter of this test's own that has the stand-in."""
    package = tmp_path / "vllm"
    package.mkdir()
    (package / "__init__.py").write_text(VLLM)
    (package / "sampling_params.py").write_text(PARAMS)
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("REVEALED_VLLM_PYTHON", str(path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def ask(judge, texts):
    rows = [{"key": f"{at:07x}".ljust(32, "0"), "uid": "u", "vote": 0, "text": text} for at, text in enumerate(texts)]
    told = []
    engine = open_offline(judge, RUBRIC)
    try:
        engine.answer(iter([pa.Table.from_pylist(rows, schema=QUESTION)]), told.append)
    finally:
        engine.worker.close()
    return told


def test_answers_come_a_batch_at_a_time_as_a_server_would_give_them():
    judge = Judge(kind="offline", model="some/model", in_flight=2)
    told = ask(judge, ["thanks", "no", "yes"])
    assert [table.num_rows for table in told] == [2, 1]
    assert {table.schema for table in told} == {ANSWER}
    row = told[0].to_pylist()[0]
    assert row["key"] == "0" * 32
    assert row["judge"] == judge_fingerprint(RUBRIC, judge)
    assert (row["state"], row["answer"], row["probs"]) == ("ok", "1", pytest.approx([0.75, 0.25, 0, 0, 0]))
    assert (row["prompt_tokens"], row["completion_tokens"], row["tries"]) == (906, 2, 1)


def test_votes_are_drawn_each_by_its_own_seed():
    judge = Judge(kind="offline", model="some/model", temperature=1, in_flight=8)
    [table] = ask(judge, ["yes"] * 5)
    assert table["answer"].to_pylist() == ["1", "2", "3", "4", "5"]


def test_a_question_beyond_the_context_fails_alone(monkeypatch):
    monkeypatch.setattr("flows.judging.offline.sampling", lambda judge: {"temperature": 0, "max_tokens": 1093})
    [table] = ask(Judge(kind="offline", model="some/model"), ["thanks", "thank you", "no"])
    assert table["state"].to_pylist() == ["ok", "error", "ok"]
    assert "909 tokens" in table["detail"][1].as_py()


def test_a_folder_is_looked_for_beside_the_recipe_and_keeps_its_name(tmp_path):
    (tmp_path / "judges" / "mine").mkdir(parents=True)
    judge = Judge(kind="offline", model="judges/mine", revision="2")
    for model, folder in ((str(tmp_path / "judges" / "mine"), tmp_path), ("judges/mine", tmp_path / "judges")):
        engine = open_offline(judge, RUBRIC, folder)
        engine.worker.close()
        assert f"standard output, of {model}\n" in engine.worker.log.read_text()
        assert engine.judge == judge


def test_thinking_before_an_answer_is_none():
    [table] = ask(Judge(kind="offline", model="some/model"), ["thanks", "thanks?"])
    assert table["answer"].to_pylist() == ["1", None]
    assert table["state"].to_pylist() == ["ok", "unparseable"]
    assert table["detail"][1].as_py().startswith("none of the answers: `<think>It is 1")


def log_of(**asked):
    engine = open_offline(Judge(kind="offline", model="some/model", **asked), RUBRIC)
    try:
        rows = [{"key": "0" * 32, "uid": "u", "vote": 0, "text": "thanks"}]
        engine.answer([pa.Table.from_pylist(rows, schema=QUESTION)], lambda _: None)
    finally:
        engine.worker.close()
    return engine.worker.log.read_text()


def test_how_the_model_is_held_is_of_the_recipe_and_the_environment_wins(monkeypatch):
    monkeypatch.setenv("REVEALED_VLLM_OPTIONS", '{"dtype": "float16"}')
    serve = {"dtype": "bfloat16", "tensor_parallel": 2, "gpu_memory": 0.5}
    told = '{"dtype": "float16", "gpu_memory_utilization": 0.5, "tensor_parallel_size": 2}'
    assert f"options {told}\n" in log_of(serve=serve)


def test_the_chat_template_is_told_what_the_recipe_says():
    assert "it does not think" not in log_of()
    assert "it does not think" in log_of(extra={"chat_template_kwargs": {"enable_thinking": False, "tokenize": False}})


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"reasoning_effort": "low"}, r"`judge\.extra`.*`reasoning_effort`; expected `chat_template_kwargs`"),
        ({"chat_template_kwargs": "no"}, r"`judge\.extra\.chat_template_kwargs`: expected a mapping"),
    ],
)
def test_what_only_a_server_could_be_told_is_refused(extra, message):
    with pytest.raises(RecipeError, match=message):
        open_offline(Judge(kind="offline", model="some/model", extra=extra), RUBRIC)


def test_questions_arrive_as_they_are_whatever_the_locale(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    [table] = ask(Judge(kind="offline", model="some/model"), ["naïve", "no"])
    assert table["prompt_tokens"].to_pylist() == [905, 902]


def test_an_engine_that_dies_is_told_with_its_last_words_and_replaced():
    judge = Judge(kind="offline", model="some/model")
    with pytest.raises(TransientError, match=r"code 7[^$]*words of the engine"):
        ask(judge, ["yes", "no!"])
    assert len(ask(judge, ["yes"])) == 1


def test_a_model_that_cannot_be_loaded_stops_the_build():
    with pytest.raises(FatalError, match=r"judge.model: broken[^$]*no such architecture"):
        ask(Judge(kind="offline", model="broken"), ["yes"])


@pytest.mark.parametrize("options", ["{", "[1]"])
def test_options_that_are_none_are_refused(options, monkeypatch):
    monkeypatch.setenv("REVEALED_VLLM_OPTIONS", options)
    with pytest.raises(RecipeError, match="tensor_parallel_size"):
        open_offline(Judge(kind="offline", model="some/model"), RUBRIC)
