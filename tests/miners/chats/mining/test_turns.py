"""Turns: each reply that a user answers, once, and the texts that belong to it."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miners.chats.mining.texts import join_prompts, join_texts
from miners.chats.mining.turns import find_turns
from schemas.errors import PartitionError
from schemas.mining import CHAT, TURN


def test_a_reply_that_a_user_answers_is_a_turn_and_the_last_message_is_only_feedback(chats):
    found = find_turns(chats.table(chats.chat("a", "Q0", "R0", "Q1", "R1!", "Thanks")))
    assert found.kept.schema == TURN
    assert found.tally().produced == 2
    assert found.kept.select(["turn", "reply_at", "turn_id", "reply_chars", "feedback_chars"]).to_pylist() == [
        {"turn": 0, "reply_at": 1, "turn_id": "t1", "reply_chars": 2, "feedback_chars": 2},
        {"turn": 1, "reply_at": 3, "turn_id": "t3", "reply_chars": 3, "feedback_chars": 6},
    ]


def test_a_system_message_shifts_places_but_not_numbers(chats):
    table = chats.table(chats.chat("a", ("system", "S"), ("user", "Q"), ("assistant", "R"), ("user", "F")))
    turns = find_turns(table).kept
    assert turns.select(["turn", "reply_at"]).to_pylist() == [{"turn": 0, "reply_at": 2}]
    assert [message["role"] for message in join_prompts(table, turns)[0].as_py()] == ["system", "user"]


def test_a_conversation_without_a_follow_up_is_counted(chats):
    found = find_turns(chats.table(chats.chat("a", "Q", "R"), chats.chat("b", "Q", "R", "F")))
    assert found.dropped.to_pylist() == [{"reason": "no_follow_up", "ref": "test/a"}]
    assert found.tally().dropped == {"no_follow_up": 1}


def test_users_with_the_same_words_do_not_share_a_turn(chats):
    """The published script names turns by a hash of the content, so that conversations of two users are mixed."""
    said = ("Hi", "Hello!", "No.", "Sorry.", "Fine")
    turns = chats.turns(chats.table(chats.chat("one", *said), chats.chat("two", *said)))
    assert len(set(turns["uid"].to_pylist())) == 4


def test_a_uid_changes_with_a_text_and_with_nothing_else(chats):
    first = chats.table(chats.chat("a", "Q", "R", "F"), chats.chat("b", "Q", "R", "F", "R2", "F2"))
    alone = chats.table(chats.chat("b", "Q", "R", "F", "another", "F2", user="u"))
    (_, same, _), (again, changed) = (chats.turns(table)["uid"].to_pylist() for table in (first, alone))
    assert same == again
    assert changed not in chats.turns(first)["uid"].to_pylist()


def test_nothing_comes_of_nothing():
    none = CHAT.empty_table()
    found = find_turns(none)
    assert found.tally().rows_in == 0
    assert join_texts(none, found.kept).height == 0
    assert join_prompts(none, found.kept).to_pylist() == []


def test_a_turn_without_its_conversation_is_refused(chats):
    turns = chats.turns(chats.table(chats.chat("a", "Q", "R", "F")))
    with pytest.raises(PartitionError, match="test/a"):
        join_texts(chats.table(chats.chat("b", "Q", "R", "F")), turns)


def test_two_conversations_of_one_name_are_refused(chats):
    table = chats.table(chats.chat("a", "Q", "R", "F"), chats.chat("a", "x", "y", "z"))
    with pytest.raises(PartitionError, match=r"two conversations .* `test/a`"):
        join_texts(table, chats.turns(table))


@given(data=st.data())
def test_turns_are_those_of_a_plain_loop(chats, data):
    said = data.draw(st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=4), max_size=7), max_size=5))
    begin = data.draw(st.integers(0, 2))
    table = chats.table(*(chats.chat(str(number), *texts) for number, texts in enumerate(said))).slice(begin)
    expected = [
        (f"test/{number}", at // 2, texts[at - 1], texts[at], texts[at + 1], texts[:at])
        for number, texts in enumerate(said)
        if number >= begin
        for at in range(1, len(texts) - 1, 2)
    ]
    turns = find_turns(table)
    texts = join_texts(table, turns.kept)
    prompts = [[message["content"] for message in prompt] for prompt in join_prompts(table, turns.kept).to_pylist()]
    of_turn = (turns.kept["group_id"].to_pylist(), turns.kept["turn"].to_pylist())
    read = (texts[name].to_list() for name in ("query", "reply", "feedback"))
    assert list(zip(*of_turn, *read, prompts, strict=True)) == expected
    assert turns.tally().rows_in == table.num_rows


def test_prompts_in_several_chunks_are_the_same(chats, monkeypatch):
    table = chats.table(chats.chat("a", *"abcdefg"), chats.chat("b", "", "", "", "x" * 9, "y"))
    turns = chats.turns(table)
    whole = join_prompts(table, turns)
    monkeypatch.setattr("miners.chats.mining.texts._AT_ONCE", 3)
    parts = join_prompts(table, turns)
    assert parts.num_chunks > 1
    assert parts.combine_chunks() == pa.chunked_array(whole.chunks).combine_chunks()
