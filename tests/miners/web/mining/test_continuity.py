import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miners.web.mining.continuity import WEIGHTS, compare_suffixes, measure_pairs, pair_rows, score_features

TEXTS = pl.DataFrame(
    [
        (
            "Let $R$ be a Noetherian ring and \\mathfrak{p} a prime. Lemma 3.1 holds, as Krull has shown, for 1729 rin",
            "gs of this kind. Lemma 3.2 says of the prime \\mathfrak{p} what Krull knew of a Noetherian ring: 1729.",
        ),
        (
            "The bread wants flour and water.\n1. Weigh the flour.\n2. Add the water, as Maria does. Stir the dou",
            "gh until it is smooth.\n3. Let the dough rest, and the flour soak the water. Then Maria bakes the bread.",
        ),
        (
            "Electric current flows where $V_{ab}$ is not zero. The current grows with the voltage. Ohm's l",
            "aw says that voltage is current times resistance: $V_{ab} = I_{ab} R$. The current is in amperes.",
        ),
    ],
    schema=["prefix", "suffix"],
    orient="row",
)


def table(column):
    """Lay a measure out: a list for each prefix, over the candidates."""
    pairs = pair_rows(3, 3)
    values = pairs.with_columns(value=measure_pairs(TEXTS, pairs)[column])
    return values.group_by("row", maintain_order=True).agg("value")["value"].to_list()


def test_pairs_stay_in_their_batch_and_hold_the_true_one():
    assert pair_rows(5, 2).rows() == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3), (4, 4)]


@given(rows=st.integers(0, 40), batch=st.integers(2, 9), negatives=st.integers(1, 9), seed=st.integers(0, 5))
def test_drawn_negatives_are_some_of_all_and_as_many_as_asked(rows, batch, negatives, seed):
    every, drawn = pair_rows(rows, batch), pair_rows(rows, batch, negatives=negatives, seed=seed)
    assert set(drawn.rows()) <= set(every.rows())
    assert drawn.rows() == sorted(set(drawn.rows()))
    for row in range(rows):
        own = drawn.filter(row=row)["candidate"].to_list()
        assert row in own
        assert len(own) == min(negatives + 1, every.filter(row=row).height)


def test_other_seeds_draw_other_negatives():
    assert pair_rows(64, 32, negatives=2).rows() != pair_rows(64, 32, negatives=2, seed=1).rows()


@pytest.mark.parametrize("feature", ["words", "formulas", "seam", "names"])
def test_each_evidence_is_strongest_for_the_text_that_goes_on(feature):
    for row, values in enumerate(table(feature)):
        others = [value for at, value in enumerate(values) if at != row]
        assert values[row] >= max(others), (feature, row, values)
    assert any(values[row] > max(values[:row] + values[row + 1 :]) for row, values in enumerate(table(feature)))


def test_a_count_that_goes_on_is_seen_and_no_other():
    assert table("numbering") == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_numbers_in_other_digits_or_of_any_length_are_no_counts():
    labels = ["\uff11. 第一", "\u0661. واحد", r"\label{eq:20190101123456789012345}", "9. nine"]
    texts = pl.DataFrame({"prefix": labels, "suffix": [*labels[:3], "10. ten"]})
    assert measure_pairs(texts, pair_rows(4, 4))["numbering"].to_list() == [0] * 15 + [1]


def test_a_word_cut_in_two_is_foreseen_and_a_capital_in_its_middle_is_not():
    texts = pl.DataFrame(
        {
            "prefix": ["a theorem is a theorem. A theo", "x", "one two", "three four"],
            "suffix": ["rem of the theorem", "The y", "five", "six"],
        }
    )
    seam = measure_pairs(texts, pair_rows(2, 2))["seam"]
    assert seam[0] > 1
    assert seam[1] < 0


def test_behind_ends_that_are_all_alike_no_start_is_foreseen_better_than_another():
    texts = pl.DataFrame({"prefix": ["One went home.", "Two stayed home."], "suffix": [" The end", " And so on"]})
    assert measure_pairs(texts, pair_rows(2, 2))["seam"].to_list() == [0, 0, 0, 0]


def test_the_linear_score_ranks_every_true_suffix_first():
    scores = score_features(measure_pairs(TEXTS, pair_rows(3, 3))).to_list()
    assert [max(range(3), key=scores[3 * row : 3 * row + 3].__getitem__) for row in range(3)] == [0, 1, 2]


def test_equal_suffixes_are_alike_and_others_are_not():
    texts = pl.concat([TEXTS, TEXTS[:1].with_columns(prefix=pl.lit("another"))])
    likeness = compare_suffixes(texts, pl.DataFrame({"row": [0, 0, 3], "candidate": [3, 1, 0]})).to_list()
    assert likeness[0] == likeness[2] == pytest.approx(1)
    assert likeness[1] < 0.3


TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@settings(max_examples=40)
@given(texts=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6), data=st.data())
def test_any_texts_are_measured_and_a_pair_alone_as_among_others(texts, data):
    frame = pl.DataFrame(texts, schema={"prefix": pl.String, "suffix": pl.String}, orient="row")
    pairs = pair_rows(len(texts), 3)
    measured = measure_pairs(frame, pairs)
    assert measured.columns == list(WEIGHTS)
    assert not measured.select(pl.any_horizontal(pl.all().is_null() | pl.all().is_nan()).any()).item()
    some = data.draw(st.lists(st.integers(0, pairs.height - 1), min_size=1, max_size=4))
    assert measure_pairs(frame, pairs[some]).equals(measured[some])
