import hashlib
from importlib.resources import files

import pytest

from miners.chats.mining.rubrics import find_rubric, list_rubrics, parse_rubric
from miners.chats.mining.views import VIEWS
from schemas.errors import InputError, RecipeError

HASHES = {  # of each version's file: whoever changes one raises its version, and adds a line here
    "nof@1": "6c144d33c850b37a",
    "refusal@1": "610b79e41b54d1fe",
    "wildfeedback@2": "087b9312e9e3de7f",
    "wildreward@2": "1aca921bc11d4dc2",
}
SOUND = """---
name: toy
version: 1
paper: none
answers: ["1", "2"]
categories: [bad, good]
neutral: "1"
shows: [query, reply]
---
Judge.

Answer with exactly one of: 1, 2
"""


def test_a_changed_rubric_has_a_new_version():
    shipped = {}
    for file in files("miners.chats").joinpath("rubrics").iterdir():
        text = file.read_text(encoding="utf-8")
        shipped[parse_rubric(text, file.name).id] = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert shipped == HASHES


def test_the_rubrics_have_the_answers_that_the_steps_rely_on():
    found = {rubric.name: (rubric.answers, rubric.categories, rubric.neutral) for rubric in list_rubrics()}
    levels = ("rejection", "correction", "neutral", "positive_engagement", "satisfaction")
    assert found["wildreward"] == (("1", "2", "3", "4", "5"), levels, "3")
    refusals = ("false_refusal", "rightly_refused", "no_refusal")
    assert found["refusal"] == (refusals, refusals, "no_refusal")
    assert found["wildfeedback"][0] == ("satisfied", "dissatisfied", "neither")
    assert found["nof"][1] == ("UR1", "UR2", "UR3", "UR4", "UR5", "none")


def test_versions_that_have_the_same_answers_are_alike():
    """Whoever changes answers, or what they mean, sets `answers_since` to the new version."""
    assert {rubric.name: rubric.answers_since for rubric in list_rubrics()} == dict.fromkeys(
        ("nof", "refusal", "wildfeedback", "wildreward"), 1
    )
    assert find_rubric("wildreward").alike == ("wildreward@1", "wildreward@2")
    later = SOUND.replace("version: 1", "version: 5\nanswers_since: 4")
    assert parse_rubric(later, "toy.md").alike == ("toy@4", "toy@5")
    for since in (0, 6):
        with pytest.raises(InputError, match=f"`answers_since` is {since}"):
            parse_rubric(later.replace("since: 4", f"since: {since}"), "toy.md")


def test_a_label_has_one_name_in_rubric_and_view():
    assert {view.name: find_rubric(view.rubric).categories for view in VIEWS.values()} == {
        view.name: view.categories for view in VIEWS.values()
    }


def test_the_refusal_rubric_does_not_show_what_the_user_thought_of_it():
    assert find_rubric("refusal").shows == ("history", "query", "reply")


def test_no_rubric_on_feedback_lets_the_judge_rate_the_reply():
    """The published prompt permits it where the follow-up is neutral, and labels the response's quality as feedback."""
    for rubric in list_rubrics():
        if rubric.name != "refusal":
            assert "Do not judge the reply yourself" in rubric.system, rubric.name


def test_ties_go_towards_the_neutral_answer():
    assert find_rubric("wildreward").preference == (2, 1, 3, 0, 4)
    assert find_rubric("wildfeedback").preference[0] == 2


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(RecipeError, match="did you mean `wildreward`"):
        find_rubric("wildreword")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('["1", "2"]', "[1, 2]", "an answer is no text"),
        ('["1", "2"]', '["1", "1"]', "do not fit"),
        ("[bad, good]", "[bad]", "do not fit"),
        ('neutral: "1"', 'neutral: "3"', "`neutral` is `3`"),
        ("[query, reply]", "[query, moon]", "unknown part"),
        ("one of: 1, 2", "one of: 1, 2, 3", "last line"),
        ("paper: none\n", "", "other fields"),
        ("---\nname", "name", "no front matter"),
    ],
)
def test_a_rubric_that_does_not_fit_together_is_refused(old, new, problem):
    assert parse_rubric(SOUND, "toy.md").answers == ("1", "2")
    with pytest.raises(InputError, match=problem):
        parse_rubric(SOUND.replace(old, new, 1), "toy.md")
