"""The judge's two ways to vLLM, with a real one and a tiny model of random weights.

Opt-in: REVEALED_VLLM_PYTHON names an interpreter that has vLLM; then `pytest -m slow tests/judging/test_vllm.py`.
"""

import json
import os
import subprocess

import polars as pl
import pyarrow as pa
import pytest

from flows.judging.client import Client
from flows.judging.offline import open_offline
from flows.judging.serving import Model, Serving, serve
from miners.chats.mining.rubrics import find_rubric
from schemas.chat_sections import Judge
from schemas.judging import ANSWER, QUESTION, State

PYTHON = os.environ.get("REVEALED_VLLM_PYTHON")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PYTHON is None, reason="set REVEALED_VLLM_PYTHON to an interpreter that has vLLM"),
]

RUBRIC = find_rubric("wildreward")
QUESTIONS = 40
TOKENS = 2048

# A word-level tokenizer would know too little; bytes need no training.
MAKE_MODEL = """
import sys, torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
words = Tokenizer(models.BPE({letter: place for place, letter in enumerate([*alphabet, "<end>"])}, []))
words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>", pad_token="<end>")
tokenizer.chat_template = (
    "{% for m in messages %}{{ m['role'][0] + ':' + m['content'] + '<end>' }}{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}"
)
end = tokenizer.eos_token_id
config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
    num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=8192, eos_token_id=end, bos_token_id=end)
torch.manual_seed(0)
LlamaForCausalLM(config).save_pretrained(sys.argv[1])
tokenizer.save_pretrained(sys.argv[1])
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    subprocess.run([PYTHON, "-c", MAKE_MODEL, str(folder)], check=True)
    return str(folder)


@pytest.fixture(scope="module")
def questions():
    texts = [f"{number} apples, said the user. Thanks, that is what I meant!" for number in range(QUESTIONS - 1)]
    texts.append("too long " * TOKENS)
    rows = [{"key": f"{at:032x}", "uid": f"{at}", "vote": 0, "text": text} for at, text in enumerate(texts)]
    return pa.Table.from_pylist(rows, schema=QUESTION)


def ask(answerer, questions):
    tables = []
    answerer.answer([questions.slice(0, 15), questions.slice(15)], tables.append)
    return pl.DataFrame(pa.concat_tables(tables)).sort("key")


@pytest.fixture(scope="module")
def served(model, questions, tmp_path_factory):
    serving = Serving(
        Model(model, model), PYTHON, port=0, dtype="float32", max_model_len=str(8000), extra=("--enforce-eager",)
    )
    with serve(serving, tmp_path_factory.mktemp("log") / "log") as server:
        judge = Judge(kind="server", model=model, urls=(server.url,), in_flight=16)
        return ask(Client(judge, RUBRIC), questions)


@pytest.fixture(scope="module")
def offline(model, questions):
    with pytest.MonkeyPatch.context() as patch:
        options = {"dtype": "float32", "enforce_eager": True, "max_model_len": 8000}
        patch.setenv("REVEALED_VLLM_OPTIONS", json.dumps(options))
        engine = open_offline(Judge(kind="offline", model=model, in_flight=16), RUBRIC)
        assert open_offline(engine.judge, find_rubric("refusal")).worker is engine.worker
        yield ask(engine, questions)
        engine.worker.close()


@pytest.mark.parametrize("way", ["served", "offline"])
def test_every_question_ends_in_an_answer_or_a_reason(way, request):
    answers = request.getfixturevalue(way)
    assert answers.to_arrow().column_names == ANSWER.names
    *fit, long = answers.to_dicts()
    assert {row["state"] for row in fit} == {State.OK}
    assert {row["answer"] for row in fit} <= set(RUBRIC.answers)
    for row in fit:
        assert sum(row["probs"]) == pytest.approx(1, abs=1e-4)
        assert RUBRIC.answers[row["probs"].index(max(row["probs"]))] == row["answer"]
        assert row["prompt_tokens"] > len(RUBRIC.system)
    assert long["state"] == State.ERROR
    assert "8000" in long["detail"]


def test_both_ways_say_the_same_under_the_same_keys(served, offline):
    said = ["key", "judge", "rubric", "model", "state", "answer", "prompt_tokens", "completion_tokens"]
    assert served.select(said).equals(offline.select(said))
    for here, there in zip(served["probs"][:-1], offline["probs"][:-1], strict=True):
        assert here.to_list() == pytest.approx(there.to_list(), abs=1e-3)
