import re

import polars as pl
import pyarrow as pa
import pytest

from miners.chats.mining.views import VIEWS
from schemas.signals import FEEDBACK
from warehouse.feedback_projections import (
    KTO,
    NEUTRAL,
    ORDINAL,
    POSITIVE,
    WILDREWARD,
    project_kto,
    project_ordinal,
    project_wildreward,
)

FILL = {pa.string(): "", pa.float32(): 1.0, pa.int8(): 1, pa.int32(): 0, pa.int64(): 0}


def said(*contents):
    return [{"role": ("user", "assistant")[at % 2], "content": content} for at, content in enumerate(contents)]


def make(prompts, ordinals, categories, response="An answer."):
    frame = pl.DataFrame(
        {
            "uid": [f"{at:032x}" for at in range(len(prompts))],
            "prompt": prompts,
            "ordinal": pl.Series(ordinals, dtype=pl.Int8),
            "category": categories,
        }
    ).with_columns(response=pl.lit(response), feedback=pl.lit("Well."), label_probs=pl.lit([0.2] * 5))
    missing = {
        field.name: pl.lit(None if field.nullable else FILL[field.type])
        for field in FEEDBACK
        if field.name not in frame.columns
    }
    return frame.with_columns(**missing).select(FEEDBACK.names).to_arrow().cast(FEEDBACK)


@pytest.fixture
def rows():
    prompts = [said("Why?"), said("Why?", "Because.", "And how?"), said("Why?")]
    return make(prompts, [1, 3, None], ["rejection", "positive_engagement", "neutral"])


def test_ordinal_targets_say_which_thresholds_a_level_passes(rows):
    made = project_ordinal(rows)
    assert made.schema.equals(ORDINAL)
    assert made["label"].to_pylist() == [1, 3, None]
    assert made["ordinal_targets"].to_pylist() == [[0, 0, 0], [1, 1, 0], None]
    assert made["text"][0].as_py() == "# Query\nWhy?\n\n# Response\nAn answer."
    assert made["text"][1].as_py().startswith("# History\n[user]\nWhy?\n\n[assistant]\nBecause.\n\n# Query\nAnd how?")


def test_wildreward_rows_are_its_records(rows):
    made = project_wildreward(rows)
    assert made.schema.equals(WILDREWARD)
    assert made.slice(1, 1).drop_columns(["text"]).to_pylist() == [
        {
            "id": f"{1:032x}",
            "history": said("Why?", "Because."),
            "messages": [{"role": "user", "content": "And how?"}, {"role": "assistant", "content": "An answer."}],
            "user_feedback": {"role": "user", "content": "Well."},
            "label": 3,
        }
    ]


def test_kto_rows_are_pleased_or_not_and_neutral_ones_neither(rows):
    made = project_kto(rows)
    assert made.schema.equals(KTO)
    assert made["label"].to_pylist() == [False, True, None]
    assert made["completion"][0].as_py() == [{"role": "assistant", "content": "An answer."}]


@pytest.mark.parametrize("word", ["a", "\u597d", "\N{GRINNING FACE}"])
def test_a_long_history_loses_its_beginning_and_never_the_response_its_end(word):
    history = [f"{word}{at}" * 300 for at in range(40)]
    rows = make([said(*history, "And now?")], [2], ["correction"])
    [text] = project_ordinal(rows)["text"].to_pylist()
    assert text.endswith(f"{history[-1]}\n\n# Query\nAnd now?\n\n# Response\nAn answer.")
    assert 11_000 < len(text.encode()) < 12_300


@pytest.mark.parametrize("less", range(4))
def test_a_tail_that_is_denser_than_the_rest_is_cut_by_its_bytes(less):
    rows = make([said("a" * 20_000 + "\N{GRINNING FACE}" * 4_000, "So?" + "!" * less)], [2], ["correction"])
    [text] = project_ordinal(rows)["text"].to_pylist()
    history = text.removeprefix("# History\n").partition("\n\n# Query")[0]
    assert set(history) == {"\N{GRINNING FACE}"}
    assert 0 <= 12_000 - len((history + "So?" + "!" * less + "An answer.").encode()) < 4


def test_rows_that_are_cut_at_other_bytes_are_written_together():
    """A cast to text looks at masked values as well: what is torn in one row must not be tried in another's place."""
    words = ("a", "\u00e9", "\u597d", "\N{GRINNING FACE}")
    prompts = [
        said(word * long, "x", word * short) for word in words for long in (1, 9_000) for short in (1, 7_000, 9_001)
    ]
    made = make(prompts, [2] * len(prompts), ["correction"] * len(prompts))
    together = project_ordinal(made)["text"].to_pylist()
    assert together == [project_ordinal(made.slice(at, 1))["text"][0].as_py() for at in range(made.num_rows)]


@pytest.mark.parametrize("character", ["z", "\u597d", "\N{GRINNING FACE}", "a\N{GRINNING FACE}"])
@pytest.mark.parametrize("less", range(5))
def test_a_query_that_leaves_no_room_stands_alone_and_loses_its_middle(character, less):
    query, response = "?" * less + character * 20_000, "An answer."
    rows = make([said("x", "y", query)], [2], ["correction"], response)
    [text] = project_ordinal(rows)["text"].to_pylist()
    shown = text.removeprefix("# Query\n").removesuffix(f"\n\n# Response\n{response}")
    beginning, gone, end = re.fullmatch(r"(?s)(.*)\n\[(\d+) characters left out\]\n(.*)", shown).groups()
    assert query.startswith(beginning)
    assert query.endswith(end)
    assert len(beginning) + int(gone) + len(end) == len(query)
    assert all(0 <= 6_000 - 5 - len(half.encode()) < 4 for half in (beginning, end))


def test_a_query_that_just_fits_is_whole():
    for more, is_cut in ((0, False), (1, True)):
        rows = make([said("z" * (12_000 - len("An answer.") + more))], [2], ["correction"])
        [text] = project_ordinal(rows)["text"].to_pylist()
        assert ("left out" in text) == is_cut


def test_a_response_that_alone_is_too_long_is_whole():
    response = "\u597d" * 5_000
    [text] = project_ordinal(make([said("x", "y", "And now?")], [2], ["correction"], response))["text"].to_pylist()
    assert text == f"# Query\n\n[8 characters left out]\n\n\n# Response\n{response}"


def test_what_praises_is_what_the_views_say():
    for view in VIEWS.values():
        named = {kind: {view.categories[label - 1] for label in labels} for kind, labels in vars_of(view)}
        assert named["positive"] == set(view.categories) & set(POSITIVE)
        assert named["neutral"] == set(view.categories) & set(NEUTRAL)


def vars_of(view):
    return (("positive", view.positive), ("neutral", view.neutral))
