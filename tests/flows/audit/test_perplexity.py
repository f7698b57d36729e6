"""A server that answers as vLLM does, with a model that can be computed by hand; and a tiny model of transformers'."""

import json
import math
from importlib.util import find_spec

import polars as pl
import pytest

from flows.audit.continuity import Asked, audit_continuity
from flows.audit.language_models import FolderModel, Likelihood, ServedModel, open_folder
from flows.audit.perplexity import PerplexityScorer, Question
from flows.audit.servers import Server
from schemas.errors import FatalError, InputError

BOS = 1000
HAS_TRANSFORMERS = all(find_spec(name) for name in ("transformers", "torch"))
without_transformers = pytest.mark.skipif(HAS_TRANSFORMERS, reason="transformers and torch are installed")
with_transformers = pytest.mark.skipif(
    not HAS_TRANSFORMERS, reason="needs transformers and torch, which are no dependency"
)


def likely(token, before):
    """Foresee a token: those that were there before are likelier, the more the oftener."""
    return math.log((1 + 9 * before.count(token)) / (300 + 9 * len(before)))


def rate(ids):
    known = [{str(ids[at]): {"logprob": likely(ids[at], ids[:at]), "rank": 1}} for at in range(1, len(ids))]
    return [None, *known]


def answer(path, body):
    """Answer as vLLM: words are tokens, named by their bytes."""
    if path == "/tokenize":
        tokens = [sum(word.encode()) % 997 for word in body["prompt"].split()]
        return 200, {"tokens": ([BOS] if body["add_special_tokens"] else []) + tokens}
    assert path == "/v1/completions"
    assert body["prompt_logprobs"] == 0
    return 200, {"choices": [{"index": at, "prompt_logprobs": rate(ids)} for at, ids in enumerate(body["prompt"])]}


def served(url):
    return ServedModel(Server(url, waits=()), "words")


def test_what_a_prefix_tells_of_its_suffix_finds_the_true_one(coherent, server):
    with server(answer) as url:
        report = audit_continuity(*coherent, PerplexityScorer(served(url)), Asked(rows=16, negatives=3))
    assert (report.method, report.model, report.states) == ("perplexity", "words", {"ok": 64})
    assert report.retrieval.accuracy.low > 0.6
    assert (report.true_pass.share or 0) > 0.9


def test_the_gain_is_that_of_the_same_tokens_with_and_without_the_prefix(server):
    texts = pl.DataFrame({"prefix": ["ab cd", "x"], "suffix": ["cd ef", "y z"]})
    pairs = pl.DataFrame({"row": [0, 0], "candidate": [0, 1]})
    with server(answer) as url:
        scored = PerplexityScorer(served(url)).score(texts, pairs)
    ids = {word: sum(word.encode()) % 997 for word in ("ab", "cd", "ef", "y", "z")}
    first = [BOS, ids["ab"], ids["cd"]]

    def gain(one, two):
        given = likely(one, first) + likely(two, [*first, one])
        return (given - likely(one, [BOS]) - likely(two, [BOS, one])) / 2

    assert scored["score"].to_list() == pytest.approx([gain(ids["cd"], ids["ef"]), gain(ids["y"], ids["z"])], abs=1e-6)


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ((500, {}), "error"),
        ((200, {"choices": [{"prompt_logprobs": None}]}), "unparseable"),
        ((200, {"choices": [{"prompt_logprobs": [None, {"7": {"logprob": -1.0}}]}]}), "unparseable"),
        (
            (200, {"choices": [{"prompt_logprobs": [None, {"7": {"logprob": -1.0}}, {"9": {"logprob": -1}}]}]}),
            "unparseable",
        ),
        (
            (200, {"choices": [{"prompt_logprobs": [None, {"7": {"logprob": -1.0}}, {"8": {"logprob": math.nan}}]}]}),
            "unparseable",
        ),
    ],
)
def test_an_answer_without_the_tokens_own_probabilities_is_no_score(server, given, state):
    with server(lambda path, body: given) as url:
        [rated] = served(url).rate([Question([5], [7, 8])])
    assert rated == Likelihood(None, state)


def test_an_empty_suffix_has_no_score_and_the_others_have(server):
    texts = pl.DataFrame({"prefix": ["ab", "cd"], "suffix": ["", "ef"]})
    with server(answer) as url:
        scored = PerplexityScorer(served(url)).score(texts, pl.DataFrame({"row": [0, 0, 1], "candidate": [0, 1, 1]}))
    assert scored["state"].to_list() == ["unparseable", "ok", "ok"]
    assert scored["score"].is_null().to_list() == [True, False, False]


def test_a_model_that_overflows_gives_no_score():
    class Overflowing:
        name, start = "overflowing", [0]

        def tokenize(self, texts):
            return [[1] for _ in texts]

        def rate(self, questions):
            return (Likelihood([-1.0, math.nan, -math.inf][len(question.context) - 1], "ok") for question in questions)

    texts = pl.DataFrame({"prefix": ["ab"], "suffix": ["cd"]})
    scored = PerplexityScorer(Overflowing()).score(texts, pl.DataFrame({"row": [0], "candidate": [0]}))
    assert scored.rows() == [(None, "unparseable")]


def test_a_server_that_does_not_tokenize_is_no_vllm_server(server):
    with server(lambda path, body: (200, {})) as url, pytest.raises(FatalError, match="expected a vLLM server"):
        served(url).tokenize(["text"])


@without_transformers
def test_without_transformers_a_folder_is_refused_with_what_to_install(tmp_path):
    with pytest.raises(FatalError, match="needs `transformers` and `torch`"):
        open_folder(tmp_path)


@with_transformers
def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"config\.json"):
        open_folder(tmp_path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> FolderModel:
    """Save and open a Llama of random weights and 200 words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    words = {"<s>": 0, "<unk>": 1} | {f"w{at}": at + 2 for at in range(198)}
    plain = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=plain, bos_token="<s>", unk_token="<unk>").save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=200, **sizes)).save_pretrained(folder)
    return open_folder(folder)


@with_transformers
def test_padding_and_order_change_no_likelihood(tiny):
    """The oracle: each question alone, its log-probabilities added one by one."""
    import torch

    questions = [Question([0, *range(5, 5 + at % 7)], list(range(20, 22 + at % 5))) for at in range(19)]
    for question, rated in zip(questions, tiny.rate(questions), strict=True):
        ids = torch.tensor([question.context + question.tokens])
        with torch.inference_mode():
            logs = tiny.network(input_ids=ids).logits[0].log_softmax(-1)
        first = len(question.context)
        expected = sum(float(logs[first - 1 + at, token]) for at, token in enumerate(question.tokens))
        assert rated == Likelihood(pytest.approx(expected, abs=1e-3), "ok")


@with_transformers
def test_a_folder_scores_pairs_and_untrained_it_knows_nothing(tiny, coherent):
    assert tiny.start == [0]
    assert tiny.tokenize(["w0 w1", "w5"]) == [[2, 3], [7]]
    report = audit_continuity(*coherent, PerplexityScorer(tiny), Asked(rows=8, negatives=2))
    assert report.states == {"ok": 24}
    assert json.loads(report.model_dump_json())["model"].startswith("tiny")
