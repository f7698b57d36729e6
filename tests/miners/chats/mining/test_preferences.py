"""Preferences: for a reply that displeased, the next one on its topic that pleased, by labels of the judge itself."""

import itertools

import polars as pl
import pytest

from miners.chats.mining.feedback import make_feedback
from miners.chats.mining.hindsight import label_turns
from miners.chats.mining.preferences import find_better
from miners.chats.mining.refusals import apply_refusals
from miners.chats.mining.views import VIEWS
from schemas.chat_sections import Feedback, Hindsight
from schemas.mining import LABELLED

QUERY, REPLY = "How do I bake sourdough bread at home?", "Bake the sourdough bread in a hot oven, tray {}."
TOPICS = ((QUERY, REPLY), ("Which sails has a dinghy?", "A dinghy has mainsail and jib number {}."))
SURE, UNSURE = 0.9, 0.4
KINDS = (  # of turns: label, topic, reply, origin, probability of the label
    (1, 0, 0, "direct", SURE),
    (2, 0, 1, "direct", None),
    (1, 0, 0, "direct", UNSURE),
    (1, 0, 0, "hindsight", SURE),
    (3, 0, 2, "direct", SURE),
    ("timeout", 0, 2, "direct", None),
    (None, 0, 2, "direct", None),
    (5, 0, 3, "direct", SURE),
    (4, 0, 1, "direct", None),
    (5, 0, 4, "direct", UNSURE),
    (4, 0, 5, "hindsight", SURE),
    (5, 0, 6, "refusal", None),
    (5, 1, 7, "direct", SURE),
)


def _write(chats, conversations):
    """Write conversations of TURNs -> their CHAT and LABELLED."""
    rows = []
    for number, turns in enumerate(conversations):
        said = [text.format(reply) for _, topic, reply, *_ in turns for text in TOPICS[topic]]
        rows.append(chats.chat(f"c{number}", *said, "the end"))
    table = chats.table(*rows)
    turns = chats.turns(table)
    every = [turn for conversation in conversations for turn in conversation]
    frame = (
        pl.DataFrame(turns)
        .select("uid")
        .with_columns(
            origin=pl.Series([turn[3] for turn in every], dtype=pl.String),
            prob=pl.Series([turn[4] for turn in every], dtype=pl.Float32),
        )
    )
    labelled = pl.DataFrame(label_turns(turns, chats.verdicts(turns, [turn[0] for turn in every]))).drop("origin")
    known = labelled.join(frame, on="uid", how="left", maintain_order="left").with_columns(
        label_probs=pl.when(pl.col("prob").is_not_null()).then(pl.concat_list([pl.col("prob")] * 5))
    )
    return table, known.select(LABELLED.names).to_arrow().cast(LABELLED)


def _reply(turn):
    return TOPICS[turn[1]][1].format(turn[2])


def _find_naively(conversation, reach):
    """Answer {turn: turn of the better reply} of one conversation of TURNs, by the rule read aloud."""

    def counts(turn, labels):
        label, _, _, origin, prob = turn
        return label in labels and origin == "direct" and prob != UNSURE

    found = {}
    for at, turn in enumerate(conversation):
        if not counts(turn, {1, 2}):
            continue
        for later in range(at + 1, min(at + reach, len(conversation) - 1) + 1):
            other = conversation[later]
            if not isinstance(other[0], int):
                break  # a gap: what lies behind it is not the next turn
            if counts(other, {4, 5}) and other[1] == turn[1]:
                if other[2] != turn[2]:
                    found[at] = later
                break
    return found


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_the_rule_is_that_of_a_plain_loop(chats, reach):
    conversations = list(itertools.product(KINDS, repeat=3))
    table, labelled = _write(chats, conversations)
    found = find_better(table, labelled, Feedback(min_probability=0.5), Hindsight(turns=reach))
    frame = found.join(pl.DataFrame(labelled).select("uid", "group_id", "turn"), on="uid")
    expected = {
        (f"test/c{number}", at): (later, _reply(conversation[later]))
        for number, conversation in enumerate(conversations)
        for at, later in _find_naively(conversation, reach).items()
    }
    assert {(row["group_id"], row["turn"]): (row["better_turn"], row["better"]) for row in frame.to_dicts()} == expected
    assert found["uid"].is_unique().all()
    assert bool(expected) == bool(reach)


def _released(chats, labels, *, view="wildreward", replies=None, neutral="drop", **hindsight):
    """Release a conversation on one topic -> {turn: its better reply and which}."""
    turns = [
        (label, 0, reply, "direct", None) for label, reply in zip(labels, replies or range(len(labels)), strict=True)
    ]
    table, labelled = _write(chats, [turns])
    decisions = pl.DataFrame(schema={"group_id": pl.String, "cluster_id": pl.String, "kept": pl.Boolean}).to_arrow()
    feedback = Feedback(view=view, neutral=neutral)
    kept = make_feedback(table, labelled, decisions, feedback, hindsight=Hindsight(**hindsight)).kept
    return {row["turn"]: (row["better"], row["better_turn"]) for row in kept.to_pylist()}


def test_a_reply_that_displeased_is_released_with_the_later_one_that_pleased(chats):
    found = _released(chats, [1, 2, 5, 3, 4], neutral="keep")
    better = (REPLY.format(2), 2)
    assert found == {0: better, 1: better, 2: (None, None), 3: (None, None), 4: (None, None)}


def test_a_neutral_turn_that_is_not_released_is_no_gap(chats):
    assert _released(chats, [1, 3, 5]) == {0: (REPLY.format(2), 2), 2: (None, None)}
    assert _released(chats, [1, 3, 3, 5])[0] == (None, None)  # beyond reach
    assert _released(chats, [1, 3, 3, 5], turns=3)[0] == (REPLY.format(3), 3)
    assert _released(chats, [1, 5], turns=0)[0] == (None, None)


def test_the_same_reply_again_is_not_better(chats):
    assert _released(chats, [1, 5], replies=[7, 7]) == {0: (None, None), 1: (None, None)}


@pytest.mark.parametrize("view", VIEWS.values(), ids=lambda view: view.name)
def test_every_view_has_pairs(chats, view):
    for negative in view.negative:
        for positive in view.positive:
            assert _released(chats, [negative, positive], view=view.name)[0] == (REPLY.format(1), 1)
            assert _released(chats, [positive, negative], view=view.name)[1] == (None, None)


def test_a_rightful_refusal_is_not_rejected(chats):
    """The fault was the query's: after the second rubric the turn is no longer negative, and no candidate either."""
    table, labelled = _write(chats, [[(1, 0, 0, "direct", None), (5, 0, 1, "direct", None)]])
    assert find_better(table, labelled, Feedback(), Hindsight()).height == 1
    refused = apply_refusals(labelled, chats.verdicts(labelled.slice(0, 1), [2], rubric="refusal@1"))
    assert refused["origin"].to_pylist() == ["refusal", "direct"]
    assert find_better(table, refused, Feedback(), Hindsight()).is_empty()
