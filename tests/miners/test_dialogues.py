"""Invented dialogues: the same every time, of all kinds and languages, with what is known of them."""

from collections import Counter
from itertools import islice

from miners.dialogues import FollowUp, write_dialogue, write_dialogues
from miners.phrases import FOLLOW_UPS, PHRASES


def test_every_follow_up_has_its_kind():
    for dialogue in write_dialogues(300):
        said = [message for message in dialogue.messages if message.role != "system"]
        assert [message.role for message in said] == ["user", "assistant"] * (len(said) // 2)
        assert len(dialogue.follow_ups) == len(said) // 2 - 1
        assert all(message.text and "{" not in message.text for message in said)


def test_all_kinds_and_languages_are_there():
    dialogues = list(write_dialogues(600))
    kinds = Counter(kind for dialogue in dialogues for kind in dialogue.follow_ups)
    assert min(kinds[kind] for kind in FollowUp) > 50
    assert kinds.most_common(1)[0][0] == FollowUp.NEUTRAL
    assert {dialogue.language for dialogue in dialogues} == {phrases.language for phrases in PHRASES}
    assert tuple(FollowUp) == FOLLOW_UPS


def test_dialogues_are_the_same_however_many_are_written():
    assert list(islice(write_dialogues(900), 50)) == list(write_dialogues(50))


def test_copies_share_their_content_and_nothing_else():
    told, copy = write_dialogue(38), write_dialogue(39)
    assert told.content_hash == copy.content_hash
    assert (told.key, told.user) != (copy.key, copy.user)
    hashes = [dialogue.content_hash for dialogue in write_dialogues(400)]
    assert len(set(hashes)) == 400 - 400 // 40


def test_users_talk_more_than_once():
    users = Counter(dialogue.user for dialogue in write_dialogues(300))
    assert 50 < len(users) < 150
