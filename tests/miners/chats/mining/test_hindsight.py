"""Hindsight: a label goes from one later turn to a neutral one, once, over no gap; and how alike two topics are."""

import itertools

import polars as pl
import pytest

from miners.chats.mining.hindsight import apply_hindsight, label_turns
from miners.chats.mining.likeness import compare_topics
from miners.chats.mining.views import VIEWS
from schemas.chat_sections import Hindsight
from schemas.mining import LABELLED

BREAD = ("How do I bake sourdough bread at home?", "Bake the sourdough bread in a hot oven.")
SAILS = ("Which sails has a dinghy?", "A dinghy has a mainsail and a jib.")


def _label(chats, labels, topics=None, **hindsight):
    """Judge a conversation whose turns are all of one topic -> its LABELLED rows."""
    said = [message for topic in (topics or [BREAD] * len(labels)) for message in topic]
    table = chats.table(chats.chat("a", *said, "the end"))
    turns = chats.turns(table)
    found = apply_hindsight(table, turns, chats.verdicts(turns, labels), Hindsight(**hindsight))
    assert found.schema == LABELLED
    return found.to_pylist()


def _pick(rows, name):
    return [row[name] for row in rows]


def test_a_neutral_turn_takes_the_first_positive_label_within_reach(chats):
    rows = _label(chats, [3, 3, 4, 5])
    assert _pick(rows, "label") == [4, 4, 4, 5]
    assert _pick(rows, "label_turn") == [2, 2, 2, 3]
    assert _pick(rows, "first_label") == [3, 3, 4, 5]
    assert _pick(rows, "origin") == ["hindsight", "hindsight", "direct", "direct"]
    assert rows[0]["likeness"] == rows[1]["likeness"] == 1
    assert rows[2]["likeness"] is None


def test_each_turn_stands_once_even_with_two_positive_successors(chats):
    """The published code has no break: it writes such a turn twice, with the last label."""
    rows = _label(chats, [3, 4, 5])
    assert _pick(rows, "label") == [4, 4, 5]
    assert len({row["uid"] for row in rows}) == len(rows) == 3


@pytest.mark.parametrize("gap", [None, "error", "unparseable"])
def test_a_turn_that_failed_or_is_missing_ends_the_look(chats, gap):
    """The published code builds the history from the turns that survived, and looks over gaps."""
    rows = _label(chats, [3, gap, 5])
    assert [row["label"] for row in rows if row["turn"] == 0] == [3]


def test_a_turn_that_was_filtered_out_ends_the_look(chats):
    table = chats.table(chats.chat("a", *BREAD, *BREAD, *BREAD, "Wonderful"))
    turns = chats.turns(table)
    verdicts = chats.verdicts(turns, [3, 3, 5])
    rows = apply_hindsight(table, turns.take([0, 2]), verdicts, Hindsight()).to_pylist()
    assert _pick(rows, "label") == [3, 5]


def test_another_topic_gives_no_label_but_does_not_end_the_look(chats):
    rows = _label(chats, [3, 5, 4], [BREAD, SAILS, BREAD])
    assert _pick(rows, "label_turn") == [2, 1, 2]
    assert _pick(_label(chats, [3, 5], [BREAD, SAILS]), "label") == [3, 5]


def test_negative_labels_are_taken_only_where_asked_for(chats):
    assert _pick(_label(chats, [3, 1, 5]), "label") == [5, 1, 5]
    assert _pick(_label(chats, [3, 1, 5], negative=True), "label") == [1, 1, 5]
    assert _pick(_label(chats, [3, 1, 5], negative=True, positive=False, turns=1), "label") == [1, 1, 5]
    assert _pick(_label(chats, [3, 5], turns=0), "label") == [3, 5]


@pytest.mark.parametrize("view", VIEWS.values(), ids=lambda view: view.name)
def test_a_view_takes_what_its_paper_takes_unless_it_is_asked_for_more(chats, view):
    """WildReward has hindsight, for praise; WildFeedback and the taxonomy of natural feedback have none."""
    [neutral], praise, blame = view.neutral, max(view.positive), max(view.negative)
    table = chats.table(chats.chat("a", *BREAD, *BREAD, *BREAD, "F"))
    turns = chats.turns(table)

    def first(*labels, **asked):
        verdicts = chats.verdicts(turns, [neutral, *labels])
        return apply_hindsight(table, turns, verdicts, Hindsight(**asked), view)["label"][0].as_py()

    assert first(praise, neutral) == (praise if view.name == "wildreward" else neutral)
    assert first(blame, neutral) == neutral
    assert first(praise, neutral, positive=True) == praise
    assert first(praise, neutral, positive=False) == neutral
    assert first(blame, neutral, negative=True) == blame


def test_conversations_do_not_reach_into_each_other(chats):
    table = chats.table(chats.chat("a", *BREAD, "F"), chats.chat("b", *BREAD, *BREAD, "F"))
    turns = chats.turns(table)
    rows = apply_hindsight(table, turns, chats.verdicts(turns, [3, 3, 5]), Hindsight()).to_pylist()
    assert _pick(rows, "label") == [3, 5, 5]


def test_a_label_brings_what_the_judge_said_of_it(chats):
    table = chats.table(chats.chat("a", *BREAD, *BREAD, "F"))
    turns = chats.turns(table)
    verdicts = pl.DataFrame(chats.verdicts(turns, [3, 5])).with_columns(
        label_probs=pl.Series([[0.0, 0, 1, 0, 0], None], dtype=pl.List(pl.Float32)), judge=pl.Series(["one", "two"])
    )
    first = apply_hindsight(table, turns, verdicts.to_arrow(), Hindsight()).to_pylist()[0]
    assert (first["label"], first["label_probs"], first["judge"]) == (5, None, "two")


@pytest.mark.parametrize("negative", [False, True])
def test_the_rule_is_that_of_a_plain_loop(chats, negative):
    wanted = {4, 5, 1, 2} if negative else {4, 5}
    for labels in itertools.product([1, 3, 4, "timeout"], repeat=4):
        expected = []
        for at, label in enumerate(labels):
            takes = label if isinstance(label, int) else None
            for later in labels[at + 1 : at + 3] if label == 3 else ():
                if isinstance(later, str):
                    break
                if later in wanted:
                    takes = later
                    break
            expected.append(takes)
        assert _pick(_label(chats, labels, negative=negative), "label") == expected


def test_what_has_no_verdict_was_dropped_before(chats):
    table = chats.table(chats.chat("a", *BREAD, *BREAD, "F"))
    turns = chats.turns(table)
    assert label_turns(turns, chats.verdicts(turns, [None, 3]))["turn"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("first", "second", "least", "most"),
    [
        ("Bake sourdough bread", "Bake sourdough bread", 1, 1),
        ("How to bake bread?", "Home-made breads", 0.2, 0.9),
        ("如何烤面包？", "面包怎么烤才好吃", 0.3, 0.9),  # noqa: RUF001
        ("Рецепты домашней выпечки", "Простой рецепт для выпечки", 0.3, 0.9),
        ("How to bake bread?", "Which sails has a dinghy?", 0, 0),
        ("Thanks, that was great!", "Thanks, that was great!", 0, 0),
        ("", "bread", 0, 0),
    ],
)
def test_likeness_is_of_topics(first, second, least, most):
    found = compare_topics(pl.Series([first]), pl.Series([second])).to_list()
    assert least <= found[0] <= most


def test_likeness_does_not_depend_on_what_else_is_compared():
    pairs = pl.DataFrame({"a": ["bread oven", "dinghy sail", "面包"], "b": ["oven heat", "sail cloth", "面包房"]})
    together = compare_topics(pairs["a"], pairs["b"]).to_list()
    assert together == [compare_topics(row["a"], row["b"])[0] for row in pairs.iter_slices(1)]
    assert compare_topics(pairs["a"].reverse(), pairs["b"].reverse()).to_list() == together[::-1]
