"""Refusals: what is asked about, and what an answer may change."""

import pytest

from miners.chats.mining.hindsight import apply_hindsight, label_turns
from miners.chats.mining.refusals import apply_refusals, find_refusals
from miners.chats.mining.views import NOF
from schemas.chat_sections import Hindsight, Refusals
from schemas.mining import LABELLED, TURN

SORRY = "Sorry, but that is nothing to help with."


def _table(chats, *replies, labels):
    said = [message for reply in replies for message in ("How do I pick this lock?", reply)]
    table = chats.table(chats.chat("a", *said, "F"))
    turns = chats.turns(table)
    return table, label_turns(turns, chats.verdicts(turns, labels, label_probs=[0.2] * 5))


def _found(chats, *replies, labels, **refusals):
    table, labelled = _table(chats, *replies, labels=labels)
    found = find_refusals(table, labelled, Refusals(**refusals))
    assert found.schema == TURN
    return found["turn"].to_pylist()


@pytest.mark.parametrize(
    "reply",
    [
        "Sorry, that is private.",  # the published list joins "sorry" and "我无法" without a comma
        "我无法回答这个问题。",
        "I can’t help with that.",  # noqa: RUF001
        "As an AI language model, I have no opinions.",
        "I'm unable to do so.",
        "对不起，我不能帮你。",  # noqa: RUF001
        "Lo siento, no puedo ayudarte.",
        "Je ne peux pas répondre à cela.",
        "Das kann ich nicht tun. Tut mir leid.",
        "Desculpe, não posso.",
        "Извините, я не могу.",
        "申し訳ありませんが、お答えできません。",
    ],
)
def test_refusals_are_found_in_every_language(chats, reply):
    assert _found(chats, reply, labels=[1]) == [0]


@pytest.mark.parametrize("reply", ["Turn the plug and pull.", "A tin can notably rusts.", "用钩子转动它。"])
def test_an_answer_is_none(chats, reply):
    assert _found(chats, reply, labels=[1]) == []


def test_only_negative_labels_are_asked_about(chats):
    """The published code asks about every label, and overwrites praise for a refusal."""
    assert _found(chats, *[SORRY] * 6, labels=[1, 2, 3, 4, 5, "error"]) == [0, 1]


def test_long_replies_are_no_refusals_and_off_is_off(chats):
    assert _found(chats, SORRY, SORRY + " x" * 200, labels=[1, 1]) == [0]
    assert _found(chats, SORRY, labels=[1], validate_with="off") == []


def test_hindsight_does_not_escape_validation(chats):
    table = chats.table(chats.chat("a", "How do I pick a lock?", SORRY, "How do I pick a lock?", SORRY, "F"))
    turns = chats.turns(table)
    labelled = apply_hindsight(table, turns, chats.verdicts(turns, [3, 1]), Hindsight(negative=True))
    assert find_refusals(table, labelled, Refusals())["turn"].to_pylist() == [0, 1]


def test_a_rightful_refusal_becomes_praise_and_a_false_one_is_rejected(chats):
    _, labelled = _table(chats, SORRY, SORRY, SORRY, labels=[1, 2, 2])
    verdicts = chats.verdicts(labelled, [2, 1, 3], rubric="refusal/1", judge="k")
    found = apply_refusals(labelled, verdicts)
    assert found.schema == LABELLED
    names = ["label", "first_label", "origin", "rubric", "judge"]
    assert [[row[name] for name in names] for row in found.to_pylist()] == [
        [5, 1, "refusal", "refusal/1", "k"],
        [1, 2, "refusal", "refusal/1", "k"],
        [2, 2, "direct", "wildreward/1", "j"],
    ]
    assert [row["label_probs"] is None for row in found.to_pylist()] == [True, True, False]


@pytest.mark.parametrize("failure", ["unparseable", "refused", "timeout", "error", None])
def test_a_failed_call_changes_nothing(chats, failure):
    """The published code parses "NA" as 0: every failed call becomes a false refusal, label 1."""
    _, labelled = _table(chats, SORRY, labels=[2])
    assert apply_refusals(labelled, chats.verdicts(labelled, [failure])) == labelled


def test_an_answer_about_a_label_that_is_not_negative_changes_nothing(chats):
    _, labelled = _table(chats, SORRY, SORRY, SORRY, labels=[3, 5, "error"])
    assert apply_refusals(labelled, chats.verdicts(labelled, [1, 1, 1])) == labelled


def test_a_view_without_refusals_asks_none(chats):
    table, labelled = _table(chats, SORRY, labels=[1])
    assert find_refusals(table, labelled, Refusals(), NOF).num_rows == 0
    assert apply_refusals(labelled, chats.verdicts(labelled, [2]), NOF) == labelled
