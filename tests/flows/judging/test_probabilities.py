import math

import pytest

from flows.judging.probabilities import read_probabilities

LEVELS = ["1", "2", "3", "4", "5"]


def token(text, probability, **others):
    top = [{"token": other, "logprob": math.log(mass)} for other, mass in others.items()]
    own = {"token": text, "logprob": math.log(probability)}
    return {**own, "top_logprobs": [own, *top]}


def read(tokens, answer, answers=LEVELS, said=None):
    return read_probabilities(tokens, said or "".join(one["token"] for one in tokens), answer, answers)


def test_one_token_an_answer():
    found = read([token("2", 0.6, **{"1": 0.1, "3": 0.1})], "2")
    assert found == pytest.approx([0.125, 0.75, 0.125, 0, 0])


def test_what_the_constraint_forbade_is_left_out():
    """vLLM gives the log-probabilities from before the constraint."""
    found = read([token("2", 0.01, The=0.9, **{"5": 0.03})], "2")
    assert found == pytest.approx([0, 0.25, 0, 0, 0.75])


def test_spellings_with_a_space_before_are_the_same_answer():
    found = read([token("2", 0.2, **{" 2": 0.2, " 4": 0.4, "\n": 0.2})], "2")
    assert found == pytest.approx([0, 0.5, 0, 0.5, 0])


def test_answers_that_begin_alike_are_told_apart_where_they_part():
    answers = ["UR1", "UR2", "none"]
    found = read([token("UR", 0.8, none=0.2), token("1", 0.75, **{"2": 0.25})], "UR1", answers)
    assert found == pytest.approx([0.6, 0.2, 0.2])


def test_a_branch_that_was_not_taken_is_not_known():
    answers = ["UR1", "UR2", "none"]
    assert read([token("none", 0.8, UR=0.2)], "none", answers) is None
    assert read([token("none", 0.999, UR=0.001)], "none", answers) == pytest.approx([0, 0, 1])


def test_an_answer_of_several_tokens():
    answers = ["false_refusal", "rightly_refused", "no_refusal"]
    tokens = [token("no", 0.7, false=0.2, right=0.1), token("_ref", 0.99), token("usal", 1.0)]
    assert read(tokens, "no_refusal", answers) == pytest.approx([0.2, 0.1, 0.7])


def test_an_answer_that_begins_another_is_not_known_at_its_end():
    assert read([token("1", 0.9, **{"2": 0.1})], "1", ["1", "10", "2"]) is None


@pytest.mark.parametrize(
    "split", [['{"answer": "', "4", '"}'], ['{"', "answer", '": ', '"4', '"}'], ['{"answer":"', '4"}']]
)
def test_an_answer_within_json(split):
    at = next(place for place, text in enumerate(split) if "4" in text)
    tokens = [token(text, 1.0) for text in split]
    tokens[at] = token(split[at], 0.8, **{split[at].replace("4", "1"): 0.2})
    assert read(tokens, "4") == pytest.approx([0.2, 0, 0, 0.8, 0])


@pytest.mark.parametrize(
    "tokens",
    [[], [{}], [{"token": "2"}], [{"token": "2", "logprob": "x"}], ["2"], 5, {"2": 1}, [token("9", 1.0)]]
    + [[{"token": "2", "logprob": value, "top_logprobs": None}] for value in (math.nan, math.inf, 1e9)],
)
def test_another_idea_of_the_format_gives_no_probabilities(tokens):
    assert read_probabilities(tokens, "2", "2", LEVELS) is None
