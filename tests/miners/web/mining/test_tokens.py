import json
import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miners.text.characters import Characters
from miners.web.mining import tokens as module
from miners.web.mining.tokens import open_tokenizer
from schemas.errors import InputError

NAMES = ("bytes", "normalized", "lower", "unigram")
TEXTS = st.lists(
    st.text() | st.text("aé😀 \r\n\x00\u0301\u200dשא是İẞﬁ.$").map(lambda text: text * 3), min_size=1, max_size=5
)


def tokenize(file, texts):
    return open_tokenizer(file).tokenize(pl.Series(texts, dtype=pl.String))


def pieces(tokens, texts):
    """The text of each token, by its place."""
    found = []
    for row, text in enumerate(texts):
        ends = tokens.ends[tokens.offsets[row] : tokens.offsets[row + 1]]
        found.append([text[begin:end] for begin, end in zip([0, *ends], ends, strict=False)])
    return found


def test_without_a_tokenizer_four_characters_are_a_token():
    texts = ["abcdefghi", "", "😀é", "是的吗好"]
    assert pieces(tokenize(None, texts), texts) == [["abcd", "efgh", "i"], [], ["😀é"], ["是的吗好"]]


def test_a_token_begins_where_the_one_before_it_ends(tokenizer_files):
    texts = ["The  number is 🚀", "group"]
    assert pieces(tokenize(tokenizer_files["bytes"], texts), texts)[0][-5:] == [" number", " is", " 🚀", "", ""]
    lower = pieces(tokenize(tokenizer_files["lower"], ["\n THE number\t"]), ["\n THE number\t"])[0]
    assert (lower[0], lower[-1]) == ("\n THE", " number\t")  # dropped white space goes with what follows it


@pytest.mark.parametrize("name", NAMES)
@given(texts=TEXTS)
def test_tokens_tile_the_text_whatever_the_tokenizer_does_to_it(tokenizer_files, name, texts):
    tokens = tokenize(tokenizer_files[name], texts)
    assert len(tokens.ids) == len(tokens.ends)
    for text, parts in zip(texts, pieces(tokens, texts), strict=True):
        assert "".join(parts) == text or not parts


@given(texts=TEXTS)
def test_added_up_places_are_those_that_the_tokenizer_reports(tokenizer_files, texts):
    tokenizer = open_tokenizer(tokenizer_files["bytes"])
    characters = Characters(pl.Series(texts))
    added, reported = tokenizer._add_up(texts, characters), tokenizer._ask_offsets(texts, characters)
    assert np.array_equal(added.ids, reported.ids)
    assert np.array_equal(added.offsets, reported.offsets)
    assert np.array_equal(added.ends, reported.ends)


def test_sizes_are_for_byte_level_tokenizers_and_given_up_where_the_text_was_changed(tokenizer_files):
    has_sizes = {name: open_tokenizer(file).sizes is not None for name, file in tokenizer_files.items()}
    assert has_sizes == {"bytes": True, "normalized": True, "lower": False, "unigram": False}
    tokenizer = open_tokenizer(tokenizer_files["normalized"])
    for text, is_changed in (("fine", False), ("ﬁne", True), ("<|end|>", False)):
        assert (tokenizer._add_up([text], Characters(pl.Series([text]))) is None) == is_changed


def test_a_control_token_in_a_text_is_text(tokenizer_files):
    tokens = tokenize(tokenizer_files["bytes"], ["the <|end|> of"])
    said = json.loads(Path(tokenizer_files["bytes"]).read_text())
    assert said["added_tokens"][0]["content"] == "<|end|>"
    assert said["added_tokens"][0]["id"] not in tokens.ids
    assert "".join(pieces(tokens, ["the <|end|> of"])[0]) == "the <|end|> of"


def test_a_tokenizer_that_drops_merges_by_chance_does_not(tokenizer_files, tmp_path):
    path, text = tmp_path / "tokenizer.json", "the numbers of the group of real numbers " * 20
    said = json.loads(Path(tokenizer_files["bytes"]).read_text())
    said["model"]["dropout"] = 0.5
    path.write_text(json.dumps(said))
    assert tokenize(str(path), [text]).ids.tolist() == tokenize(tokenizer_files["bytes"], [text]).ids.tolist()


@pytest.mark.parametrize("name", NAMES)
@given(texts=TEXTS, data=st.data())
def test_count_reverses_locate(tokenizer_files, name, texts, data):
    tokens = tokenize(tokenizer_files[name], texts)
    row = data.draw(st.integers(0, len(texts) - 1))
    begins = [0, *tokens.ends[tokens.offsets[row] : tokens.offsets[row + 1]]]
    place = data.draw(st.integers(0, int(begins[-1])))
    count = int(tokens.count(np.array([row]), np.array([place]))[0])
    assert count == next(number for number, begin in enumerate(begins) if begin >= place)
    assert [int(tokens.locate(np.array([row]), np.array([at]))[0]) for at in range(len(begins))] == begins


def test_long_texts_are_tokenized_in_pieces_and_told_as_one(tokenizer_files, monkeypatch):
    texts = ["the number 😀 " * 9, "", "of", "a group of numbers " * 7]
    for name in NAMES:
        with monkeypatch.context() as patch:
            patch.setattr(module, "_PIECE", 10)
            tokens = tokenize(tokenizer_files[name], texts)
        assert ["".join(parts) for parts in pieces(tokens, texts)] == texts
        ends = set(tokens.ends[: tokens.offsets[1]].tolist())
        assert set(range(10, len(texts[0]), 10)) <= ends  # a token ends with each piece


def test_what_is_in_a_tokenizer_file_cuts_no_document_short(tokenizer_files):
    text = "the number of the group " * 20
    tokens = tokenize(tokenizer_files["lower"], [text])
    assert tokens.counts[0] > 80


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"", "is no tokenizer"),
        (b"{}", "is no tokenizer"),
        (json.dumps({"model": {"type": "LSTM"}}).encode(), "is no tokenizer"),
        (b"\xff\xfe", "is no tokenizer"),
    ],
)
def test_a_file_that_is_no_tokenizer(tmp_path, content, message):
    pytest.importorskip("tokenizers", reason="`tokenizers` is not installed: pip install tokenizers")
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"tokenizer.json: {message}.*expected a `tokenizer.json`") as caught:
        open_tokenizer(str(path))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_changed_file_is_read_again(tokenizer_files, tmp_path):
    path = tmp_path / "tokenizer.json"
    counts = []
    for name in ("bytes", "lower"):
        path.write_bytes(Path(tokenizer_files[name]).read_bytes())
        counts.append(len(tokenize(str(path), ["the number\n\n\n😀"]).ends))
    assert counts[0] != counts[1]


@given(texts=TEXTS, data=st.data())
def test_places_in_characters_and_in_bytes(texts, data):
    characters = Characters(pl.Series(texts))
    row = data.draw(st.integers(0, len(texts) - 1))
    place = data.draw(st.integers(0, len(texts[row])))
    size = len(texts[row][:place].encode())
    assert characters.find_bytes(np.array([row]), np.array([place])).tolist() == [size]
    before = sum(map(len, texts[:row])) + place
    in_bytes = sum(len(text.encode()) for text in texts[:row]) + size
    assert characters.count_characters(np.array([in_bytes])).tolist() == [before]
