"""Texts as words, scores and figures; that a model tells texts apart is tested where it is trained."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miners.text.quality import evaluate, score_quality, write_as_words
from schemas.errors import InputError


def words(text, most=1000):
    return write_as_words(pl.Series([text], dtype=pl.String), most).item()


def test_texts_are_written_as_words():
    assert words("Let $\\alpha_{12} = 42$,\r\nso\ttoo.") == "let $ \\alpha _ { 0 } = 0 $ , so too ."
    assert words("\u201cso\u201d \u2014 3rd\u00a0of\u2003x\u2192y") == "\u201c so \u201d \u2014 0 rd of x \u2192 y"
    assert words("定理 है คำ") == "定 理 है ค ำ"
    assert words("  \n") == ""
    assert words(None) is None


def test_only_the_beginning_is_read():
    assert words("abcdef", 3) == "abc"


def test_a_text_cannot_give_itself_a_label():
    assert words("__label__positive </s>") == "_ _ label _ _ positive < / s >"


@given(st.text(max_size=40))
def test_any_text_is_one_line_of_words_and_writing_it_twice_changes_nothing(text):
    written = words(text)
    assert "\n" not in written
    assert "\0" not in written
    assert not any(word.startswith("__label__") or word == "</s>" for word in written.split())
    assert " ".join(written.split(" ")) == written.strip()


def find_point(metrics, threshold):
    return next(point for point in metrics.curve if point.threshold == pytest.approx(threshold))


def test_figures_by_hand():
    scores = pl.Series([0.9, 0.6, 0.4, 0.8, 0.4, 0.1], dtype=pl.Float32)
    metrics = evaluate(scores, pl.Series([True, True, True, False, False, False]))
    assert (metrics.positives, metrics.negatives) == (3, 3)
    half = metrics.at_half
    assert (half.precision, half.recall, half.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert half.rejected == pytest.approx(2 / 3)
    # of 9 couples: 0.9 beats three, 0.6 two, 0.4 one and ties with one
    assert metrics.auc == pytest.approx(6.5 / 9)
    assert find_point(metrics, 0.99).precision is None
    assert find_point(metrics, 0.99).recall == 0
    assert find_point(metrics, 0.9).precision == 1  # a score of just the threshold is accepted
    assert find_point(metrics, 0.4).recall == 1


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=40))
def test_the_area_is_the_share_of_couples_in_the_right_order(rows):
    yes = np.array([score for score, kind in rows if kind])
    no = np.array([score for score, kind in rows if not kind])
    if not (yes.size and no.size):
        return
    metrics = evaluate(
        pl.Series([score / 20 for score, _ in rows], dtype=pl.Float32), pl.Series([kind for _, kind in rows])
    )
    couples = (yes[:, None] > no) + (yes[:, None] == no) / 2
    assert metrics.auc == pytest.approx(couples.mean())
    recalls = [point.recall for point in metrics.curve]
    assert recalls == sorted(recalls, reverse=True)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no model .*expected a folder that `revealed quality train` wrote"):
        score_quality(pl.Series(["x"]), tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match=r"manifest.json: is none"):
        score_quality(pl.Series(["x"]), tmp_path)
