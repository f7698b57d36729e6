from importlib.resources import files

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miners.chats.embedded.features import BUCKETS, NAMES, describe
from miners.chats.embedded.model import CARD

MESSAGES = st.text(max_size=60) | st.sampled_from(["thanks!", "it doesn't work", "не работает", "继续", "", "a" * 5000])
EXCHANGES = st.lists(st.tuples(MESSAGES, MESSAGES, MESSAGES), min_size=1, max_size=8)


def as_texts(rows):
    columns = dict(zip(("query", "reply", "feedback"), zip(*rows, strict=True), strict=True))
    return pl.DataFrame({name: pl.Series(values, dtype=pl.String) for name, values in columns.items()})


def cues(query, reply, feedback):
    row = describe(as_texts([(query, reply, feedback)])).toarray()[0, BUCKETS:]
    return {name for name, value in zip(NAMES, row, strict=True) if value}


@settings(max_examples=40, deadline=None)
@given(EXCHANGES, st.integers(0, 8))
def test_a_row_has_the_same_features_in_every_batch(rows, cut):
    texts = as_texts(rows)
    whole = describe(texts).toarray()
    parts = [describe(part).toarray() for part in (texts[:cut], texts[cut:]) if part.height]
    assert np.array_equal(whole, np.concatenate(parts))


def test_ngrams_of_a_row_have_length_one_a_kind():
    row = describe(as_texts([("q", "r", "seven different words are hashed into buckets")])).toarray()[0, :BUCKETS]
    assert np.square(row).sum() == pytest.approx(3, rel=0.2)  # words, opening, characters; buckets may meet


def test_no_ngram_crosses_from_one_row_to_the_next():
    alone = describe(as_texts([("", "", "ab cd")])).toarray()
    among = describe(as_texts([("", "", "xy"), ("", "", "ab cd"), ("", "", "zz top")])).toarray()
    assert np.array_equal(alone[0], among[1])


@pytest.mark.parametrize(
    ("feedback", "cue"),
    [
        ("Thanks, and the next?", "opens:thanks"),
        ("ok great, go on", "opens:praise"),
        ("No, that is the other one", "opens:no"),
        ("It still doesn\u2019t work", "says:failing"),
        ("Traceback (most recent call last):\n  File", "says:error"),
        ("You forgot the date", "says:complaint"),
        ("your text got cut off", "says:cut"),
        ("funktioniert leider nicht", "says:failing"),
        ("всё равно не работает", "says:failing"),
        ("还是报错", "says:failing"),
        ("DO NOT DO THAT", "shape:capitals"),
        ("what is a bolt in weaving", "relation:keeps_all"),
    ],
)
def test_cues_are_found(feedback, cue):
    assert cue in cues("what is a bolt", "A bolt is a screw.", feedback)


def test_a_repeated_query_is_told_from_a_repeated_word():
    assert "joined:same" in cues("name three rivers in Peru", "Nile.", "Name three rivers  in Peru")
    assert "joined:same" not in cues("continue", "And so on.", "continue")
    assert "relation:same_short" in cues("continue", "And so on.", "continue")


def test_the_last_line_of_a_long_log_is_read():
    log = "starting\n" * 500 + "KeyError: 'oven'"
    assert "says:error" in cues("run it", "```python\nrun()\n```", log)


def test_behind_8000_characters_a_follow_up_is_not_read_and_the_card_says_so():
    paste = "some pasted words " * 500
    assert np.array_equal(*describe(as_texts([("q", "r", paste), ("q", "r", paste + "thanks!")])).toarray())
    card = files("miners.chats.embedded").joinpath("shipped", CARD).read_text(encoding="utf-8")
    assert "first 8,000 characters" in " ".join(card.split())


def test_nulls_count_as_empty():
    texts = as_texts([(None, None, None), ("", "", "")])
    null, empty = describe(texts).toarray()
    assert np.array_equal(null, empty)


def test_no_rows_give_no_rows():
    assert describe(as_texts([("", "", "")])[:0]).shape == (0, BUCKETS + len(NAMES))
