"""Feedback: which labels are released, under which names, and with which texts."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from miners.chats.mining.feedback import UNSPLIT, cap_users, choose_labels, make_feedback, write_feedback
from miners.chats.mining.hindsight import label_turns
from miners.chats.mining.preferences import find_better
from miners.chats.mining.views import VIEWS, find_view
from schemas.chat_sections import Feedback, Hindsight
from schemas.errors import RecipeError
from schemas.signals import FEEDBACK
from warehouse.agreement import soften

DECISIONS = pa.schema([("group_id", pa.string()), ("cluster_id", pa.string()), ("kept", pa.bool_())])
ALL_KEPT = DECISIONS.empty_table()
DAY = datetime(2024, 5, 1, tzinfo=UTC)


def _labelled(chats, labels, conversation="a", told=None, **values):
    said = [f"m{place}" for place in range(2 * len(labels) + 1)]
    table = chats.table(chats.chat(conversation, *said, user="u", model="gpt", created_at=DAY, pii=2, language=told))
    turns = chats.turns(table)
    return table, label_turns(turns, chats.verdicts(turns, labels, **values))


def _dropped(chats, labels, *, decisions=ALL_KEPT, feedback=None, **values):
    table, labelled = _labelled(chats, labels, **values)
    outcome = make_feedback(table, labelled, decisions, feedback or Feedback())
    assert outcome.tally().rows_in == len(labels)
    return dict(outcome.tally().dropped)


def test_a_row_holds_the_texts_of_its_turn(chats):
    table, labelled = _labelled(chats, [3, 4])
    outcome = make_feedback(table, labelled, ALL_KEPT, Feedback())
    assert outcome.kept.schema == UNSPLIT
    assert [name for name in FEEDBACK.names if name != "split"] == outcome.kept.schema.names
    (row,) = outcome.kept.to_pylist()
    assert [message["content"] for message in row["prompt"]] == ["m0", "m1", "m2"]
    assert (row["response"], row["feedback"], row["category"]) == ("m3", "m4", "positive_engagement")
    assert (row["label"], row["ordinal"], row["turn"], row["pii"], row["model"]) == (4, 3, 1, 2, "gpt")
    assert (row["prompt_chars"], row["tokens"], row["created_at"]) == (6, 2, DAY)
    assert (row["group_id"], row["cluster_id"], row["community"]) == ("test/a", "test/a", "test")


@pytest.mark.parametrize(("detected", "expected"), [(None, "German"), ("en", "en")])
def test_a_language_that_nobody_looked_for_is_the_log_s(chats, detected, expected):
    table, labelled = _labelled(chats, [4], told="German")
    at = labelled.schema.get_field_index("language")
    looked = labelled.set_column(at, "language", pa.array([detected], pa.string()))
    assert make_feedback(table, looked, ALL_KEPT, Feedback()).kept["language"].to_pylist() == [expected]


def test_prompts_are_written_a_few_at_a_time_in_the_order_of_uids(chats, monkeypatch):
    table, labelled = _labelled(chats, [1, 2, 4, 5, 1])
    whole = make_feedback(table, labelled, ALL_KEPT, Feedback()).kept
    better = find_better(table, labelled, Feedback(), Hindsight())
    monkeypatch.setattr("miners.chats.mining.texts._AT_ONCE", 20)
    tables = list(write_feedback(table, labelled, ALL_KEPT, find_view("wildreward"), better))
    assert [written.num_rows for written in tables] != [5]
    assert pa.concat_tables(tables).to_pylist() == whole.to_pylist()
    assert whole["uid"].to_pylist() == sorted(labelled["uid"].to_pylist())


def test_four_levels_are_left_of_five(chats):
    table, labelled = _labelled(chats, [1, 2, 3, 4, 5])
    kept = make_feedback(table, labelled, ALL_KEPT, Feedback()).kept.sort_by("turn")
    assert kept["ordinal"].to_pylist() == [1, 2, 3, 4]
    kept = make_feedback(table, labelled, ALL_KEPT, Feedback(neutral="keep")).kept.sort_by("turn")
    assert kept["ordinal"].to_pylist() == [1, 2, None, 3, 4]


@pytest.mark.parametrize("state", ["unparseable", "refused", "timeout", "error"])
def test_a_failure_is_dropped_as_what_it_was(chats, state):
    assert _dropped(chats, [state]) == {f"judge_{state}": 1}


def test_a_duplicate_goes_first_and_a_cluster_is_named(chats):
    decisions = pa.Table.from_pylist([{"group_id": "test/a", "cluster_id": "c", "kept": False}], schema=DECISIONS)
    assert _dropped(chats, [3, "error", 5], decisions=decisions) == {"thread_dropped": 3}
    kept = pa.Table.from_pylist([{"group_id": "test/a", "cluster_id": "c", "kept": True}], schema=DECISIONS)
    table, labelled = _labelled(chats, [5])
    assert make_feedback(table, labelled, kept, Feedback()).kept["cluster_id"].to_pylist() == ["c"]


def test_unsure_labels_go_where_the_judge_says_how_sure_it_is(chats):
    least = Feedback(min_probability=0.5)
    assert _dropped(chats, [1], feedback=least, label_probs=[0.4, 0.6, 0, 0, 0]) == {"unsure": 1}
    assert _dropped(chats, [2], feedback=least, label_probs=[0.4, 0.6, 0, 0, 0]) == {}
    assert _dropped(chats, [1], feedback=least) == {}  # it gave none
    assert _dropped(chats, [1], feedback=Feedback(min_agreement=0.7), agreement=0.6) == {"unsure": 1}


def test_a_temperature_softens_probabilities_before_they_are_asked(chats):
    probs = [0.7, 0.3, 0, 0, 0]
    assert _dropped(chats, [1], feedback=Feedback(min_probability=0.65), label_probs=probs) == {}
    assert _dropped(chats, [1], feedback=Feedback(min_probability=0.65, temperature=2), label_probs=probs) == {
        "unsure": 1
    }
    [own, *_] = soften(np.array([probs]), 2)[0]
    for least, gone in ((own - 1e-6, {}), (own + 1e-6, {"unsure": 1})):
        feedback = Feedback(min_probability=least, temperature=2)
        assert _dropped(chats, [1], feedback=feedback, label_probs=probs) == gone
    assert _dropped(chats, [1], feedback=Feedback(min_probability=0.8, temperature=0.5), label_probs=probs) == {}
    assert _dropped(chats, [1], feedback=Feedback(min_probability=0.8, temperature=2)) == {}  # it gave none


def test_released_probabilities_stay_the_judges_own(chats):
    probs = [0.75, 0.25, 0, 0, 0]
    table, labelled = _labelled(chats, [1], label_probs=probs)
    kept = make_feedback(table, labelled, ALL_KEPT, Feedback(min_probability=0.5, temperature=2)).kept
    assert kept["label_probs"].to_pylist() == [probs]


def test_a_conversation_gives_at_most_so_many(chats):
    assert _dropped(chats, [1] * 5, feedback=Feedback(max_per_conversation=2)) == {"over_conversation_cap": 3}
    _, labelled = _labelled(chats, [3, 3, 3, 1, 1])
    kept = choose_labels(labelled, ALL_KEPT, Feedback(max_per_conversation=2)).kept
    assert kept["turn"].to_pylist() == [3, 4]  # neutral turns do not count


def test_users_are_capped_by_hash_whatever_the_order():
    rows = pa.table({"uid": [f"{n:032x}" for n in range(8)], "user": ["a"] * 5 + ["b", None, None]})
    capped = cap_users(rows, 2, seed=1)
    assert capped.tally().dropped == {"over_user_cap": 3}
    assert pl.Series(capped.kept["user"]).to_list().count("a") == 2
    turned = cap_users(rows.take(list(range(7, -1, -1))), 2, seed=1)
    assert set(turned.kept["uid"].to_pylist()) == set(capped.kept["uid"].to_pylist())
    assert cap_users(rows, None).kept == rows


@pytest.mark.parametrize(
    ("view", "categories"),
    [("wildfeedback", ["SAT", "DSAT"]), ("nof", ["UR1", "UR2", "UR3", "UR4", "UR5"])],
)
def test_views_name_the_labels_of_their_rubric(chats, view, categories):
    labels = range(1, len(find_view(view).categories) + 1)
    table, labelled = _labelled(chats, labels)
    kept = make_feedback(table, labelled, ALL_KEPT, Feedback(view=view)).kept.sort_by("turn")
    assert kept["category"].to_pylist() == categories
    assert kept["ordinal"].null_count == len(categories)


@pytest.mark.parametrize("view", VIEWS.values(), ids=lambda view: view.name)
def test_a_view_says_of_every_label_what_it_is(view):
    labels = set(range(1, len(view.categories) + 1))
    assert sorted([*view.positive, *view.negative, *view.neutral]) == sorted(labels)
    assert set(view.ordinal) <= labels - view.neutral
    assert set(view.refusals.values()) <= labels


def test_an_unknown_view_is_told_with_the_nearest():
    with pytest.raises(RecipeError, match="wildreward"):
        find_view("wildrewards")


def test_nothing_comes_of_nothing(chats):
    table, labelled = _labelled(chats, [1])
    outcome = make_feedback(table, labelled.slice(0, 0), ALL_KEPT, Feedback())
    assert outcome.kept.schema == UNSPLIT
    assert outcome.tally().rows_in == 0
