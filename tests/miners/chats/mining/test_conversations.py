"""Conversations made whole: every repair and every reason, and what holds whatever comes in."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miners.chats import sharegpt
from miners.chats.mining.conversations import Repair, assemble_chats
from miners.source import Reading
from schemas.chat_sections import Turns
from schemas.inputs import CONVERSATION
from schemas.mining import CHAT
from schemas.recipe import Licenses

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
ROLES = {"u": "human", "a": "gpt", "s": "system", "?": "tool"}
FINE = "u:one a:two u:three"


def say(text):
    """Make messages: `u:one a:two`; `u` alone has no text, and `-` is a message that is null."""
    return [None if word == "-" else one(*word.split(":")) for word in text.split()]


def one(role, content=None, **more):
    return {"turn_id": content and f"t-{content}", "role": ROLES.get(role, role), "content": content} | more


def row(text=FINE, name="c", part=0, **more):
    messages = say(text) if isinstance(text, str) else text
    return {"source": "s", "conversation_id": name, "part": part, "license": "MIT", "messages": messages} | more


def assemble(*rows, sample=1.0, seed=0, allow=(), **turns):
    table = pa.Table.from_pylist(list(rows), CONVERSATION)
    outcome = assemble_chats(table, turns=Turns(**turns), sample=sample, seed=seed, licenses=Licenses(allow=allow))
    outcome.tally()
    assert outcome.kept.schema == CHAT
    return outcome.kept.to_pylist(), outcome.dropped.to_pylist()


def show(chat):
    return " ".join(f"{message['role'][0]}:{message['content']}" for message in chat["messages"])


def make(text, **turns):
    """Assemble one conversation: (what is said in it, its repairs)."""
    [chat], _ = assemble(row(text), **turns)
    return show(chat), chat["repairs"]


def find_reasons(*rows, **given):
    return [drop["reason"] for drop in assemble(*rows, **given)[1]]


@pytest.mark.parametrize(
    ("text", "expected", "repairs"),
    [
        (FINE, FINE, []),
        (f"s:rule {FINE}", f"s:rule {FINE}", []),
        (f"s {FINE}", FINE, [Repair.NO_SYSTEM]),
        (f"{FINE} a u:more", FINE, [Repair.CUT_AT_EMPTY]),
        (f"{FINE} - a:x", FINE, [Repair.CUT_AT_EMPTY]),
        (f"{FINE} a:\u200b\0\u00a0 u:x", FINE, [Repair.CUT_AT_EMPTY]),
        (f"{FINE} a:four s:rule u:x", f"{FINE} a:four", [Repair.CUT_AT_SYSTEM]),
        (f"a:hello {FINE}", FINE, [Repair.LATE_START]),
        (f"a {FINE}", FINE, [Repair.LATE_START]),
        (f"s:rule a:hello {FINE}", f"s:rule {FINE}", [Repair.LATE_START]),
        ("u:one u:two a:x a:y a:z u:three", "u:one\n\ntwo a:x\n\ny\n\nz u:three", [Repair.JOINED]),
        ("s:one s:two u:x a:y u:z", "s:one\n\ntwo u:x a:y u:z", [Repair.JOINED]),
        (f"s a:x {FINE} u:y a", "u:one a:two u:three\n\ny", ["no_system", "late_start", "cut_at_empty", "joined"]),
    ],
)
def test_roles_are_brought_in_order(text, expected, repairs):
    assert make(text) == (expected, repairs)


def test_long_conversations_are_cut():
    assert make(f"{FINE} a:four u:five", max_messages=4) == (f"{FINE} a:four", [Repair.CUT_AT_LENGTH])
    assert make(f"{FINE} a:four", max_messages=4) == (f"{FINE} a:four", [])


@pytest.mark.parametrize(
    "names", ["human gpt", "user assistant", "USER Assistant", "human chatgpt", "human bing", "prompter bard"]
)
def test_roles_have_one_name(names):
    user, assistant = names.split()
    [chat], _ = assemble(row([one(user, "x"), one(assistant, "y"), one(user, "z")]))
    assert show(chat) == "u:x a:y u:z"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{FINE} ?:x", "unknown_role"),
        (f"{FINE} a ?:x", "unknown_role"),
        (f"? {FINE}", "unknown_role"),
        ("", "broken_turn"),
        ("-", "broken_turn"),
        ("u:x u:y", "broken_turn"),
        ("a:x a:y", "broken_turn"),
        ("s:x", "broken_turn"),
        ("u:x a u:y", "broken_turn"),
        ("u a:x u:y", "broken_turn"),
        ("u:x a:y", "no_follow_up"),
        ("s:x u:x a:y", "no_follow_up"),
        ("a:w u:x a:y", "no_follow_up"),
    ],
)
def test_what_is_no_conversation_is_dropped(text, reason):
    assert find_reasons(row(text)) == [reason]


def test_a_text_without_a_role_is_a_fault():
    assert find_reasons(row([*say(FINE), {"content": "by whom?"}])) == ["unknown_role"]


# --- parts ----------------------------------------------------------------------------------------------------------


def test_parts_are_joined_where_the_one_before_ends():
    parts = [row("u:one a:two", created_at=NOON), row("u:three a:four", part=2, model="m"), row("u:five", part=4)]
    for order in (parts, parts[::-1]):
        [chat], dropped = assemble(*order)
        assert (show(chat), dropped) == ("u:one a:two u:three a:four u:five", [])
        assert (chat["conversation_id"], chat["model"], chat["created_at"]) == ("c", "m", NOON)


def test_a_part_may_repeat_the_end_of_the_one_before():
    [chat], _ = assemble(row("u:one a:two"), row("a:two u:three", part=1))
    assert (show(chat), chat["repairs"]) == (FINE, [Repair.OVERLAP])


@pytest.mark.parametrize(
    ("text", "part"), [("u:x a:y u:z", 4), ("u:x a:y u:z", 1), ("a:other u:x a:y u:z", 2), ("u:x a:y u:z", 9)]
)
def test_nothing_is_joined_over_a_gap(text, part):
    first, second = assemble(row(f"{FINE}"), row(text, part=part))[0]
    assert (first["conversation_id"], show(first)) == ("c", FINE)
    assert (second["group_id"], show(second)) == ("s/c#2", "u:x a:y u:z")


def test_several_gaps_make_several_conversations():
    chats, _ = assemble(row(part=1), row(part=9), row("a:four u:five", part=12), row(part=99), row(name="d"))
    assert [chat["group_id"] for chat in chats] == ["s/c", "s/c#2", "s/c#3", "s/d"]
    assert show(chats[1]) == f"{FINE} a:four u:five"


def test_an_id_that_looks_invented_is_no_other_chat_s():
    chats, _ = assemble(row(name="a"), row(name="a", part=9), row(name="a#2"), row(name="a#2", part=9))
    assert [chat["group_id"] for chat in chats] == ["s/a", "s/a#2", "s/a#2#1", "s/a#2#2"]


def test_a_part_inside_an_earlier_one_is_a_copy_and_cuts_nothing():
    parts = [row(f"{FINE} a:four u:five"), row("a:two u:three", part=1), row("a:four", part=3), row("a:six", part=5)]
    [chat], dropped = assemble(*parts)
    assert show(chat) == f"{FINE} a:four u:five a:six"
    assert [drop["reason"] for drop in dropped] == ["duplicate_id"] * 2
    others = assemble(parts[0], row("a:two u:other a:x u:y", part=0, name="d"), row(FINE, part=1))[0]
    assert [chat["group_id"] for chat in others] == ["s/c", "s/c#2", "s/d"]  # what says something else stays


def test_a_table_of_one_message_a_row_is_joined():
    rows = [row(word, part=number) for number, word in enumerate(FINE.split(), 1)]
    [chat], dropped = assemble(*rows)
    assert (show(chat), dropped) == (FINE, [])


def test_of_copies_the_newest_stays_then_the_longest():
    later = NOON + timedelta(hours=1)
    old = row("u:a a:b u:c a:d", created_at=NOON)
    short, long = row("u:x a:y u:z", created_at=later), row("u:x a:y u:zzz", created_at=later)
    for order in ((old, short, long), (long, short, old)):
        [chat], dropped = assemble(*order)
        assert show(chat) == "u:x a:y u:zzz"
        assert [drop["reason"] for drop in dropped] == ["duplicate_id"] * 2
        assert {drop["ref"] for drop in dropped} == {"s/c"}


def test_parts_speak_for_all():
    parts = [row("u:one a:two", toxic=False, license="MIT"), row("u:three", part=2, toxic=True, license="CC0-1.0")]
    [chat], _ = assemble(*parts)
    assert (chat["toxic"], chat["redacted"], chat["license"]) == (True, None, "CC0-1.0 AND MIT")
    assert find_reasons(*parts, toxic=True) == ["toxic"] * 2
    assert find_reasons(*parts, allow=["MIT"]) == ["license_refused"] * 2


# --- gates, samples, personal data ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", ["toxic", "redacted"])
def test_gates_look_at_conversations_and_messages(gate):
    marked = [*say("u:one a:two"), one("u", "three", **{gate: True})]
    rows = [row(name="a", **{gate: True}), row(marked, name="b"), row(name="c", **{gate: False}), row(name="d")]
    chats, dropped = assemble(*rows, **{gate: True})
    assert [chat["conversation_id"] for chat in chats] == ["c", "d"]
    assert [drop["reason"] for drop in dropped] == [gate] * 2
    assert len(assemble(*rows)[0]) == 4


def test_a_sample_takes_whole_conversations_and_grows():
    rows = [row(name=f"c{number}", part=part) for number in range(200) for part in (0, 9)]
    few, many = ({chat["group_id"] for chat in assemble(*rows, sample=share)[0]} for share in (0.2, 0.6))
    assert few < many
    assert 50 < len(few) < 110
    assert {name.removesuffix("#2") for name in few} == {name for name in few if "#" not in name}
    assert few != {chat["group_id"] for chat in assemble(*rows, sample=0.2, seed=1)[0]}


def test_personal_data_is_masked_in_every_message():
    messages = [one(role, f"write to ann.{role}@posteo.de, please") for role in "sua"] + [one("u", "ok")]
    [masked], _ = assemble(row(messages), pii="mask")
    assert [message["content"] for message in masked["messages"]] == ["write to [EMAIL], please"] * 3 + ["ok"]
    assert masked["pii"] == 3
    [kept], _ = assemble(row(messages))
    assert (kept["pii"], "ann.u@posteo.de" in kept["messages"][1]["content"]) == (0, True)


def test_odd_texts_pass_unchanged():
    texts = ["nul \0 here", "\ufffd", "x" * 10_000_000, "\U0001f600 مرحبا"]
    messages = [one("ua"[place % 2], text) for place, text in enumerate(texts)]
    [chat], _ = assemble(row(messages))
    assert [message["content"] for message in chat["messages"]] == texts


def test_nothing_comes_of_nothing():
    assert assemble() == ([], [])


# --- whatever comes in ----------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["u:x", "a:y", "u:z", "a:w", "s:rule", "u", "a", "s", "-", "?:t"])
ROW = st.builds(
    lambda words, name, part, toxic: row(" ".join(words), name, part, toxic=toxic),
    st.lists(WORDS, max_size=8) | st.just(["u:x", "a:y"] * 3),
    st.sampled_from("abc"),
    st.integers(0, 6),
    st.sampled_from([None, False, True]),
)


@settings(max_examples=40)
@given(st.lists(ROW, max_size=8), st.booleans(), st.integers(2, 9), st.randoms(use_true_random=False))
def test_chats_alternate_and_nothing_is_lost(rows, toxic, most, chance):
    chats, dropped = assemble(*rows, toxic=toxic, max_messages=most)
    for chat in chats:
        roles = [message["role"] for message in chat["messages"]]
        spoken = roles[roles[0] == "system" :]
        assert spoken == (["user", "assistant"] * len(spoken))[: len(spoken)]
        assert 3 <= len(spoken) <= len(roles) <= most
        assert all(message["content"].strip() for message in chat["messages"])
    names = {chat["conversation_id"].partition("#")[0] for chat in chats}
    assert names | {drop["conversation_id"] for drop in dropped} == {row["conversation_id"] for row in rows}
    assert all(drop["reason"] for drop in dropped)
    mixed = chance.sample(rows, len(rows))
    again, dropped_again = assemble(*mixed, toxic=toxic, max_messages=most)
    assert again == chats
    assert Counter(drop["reason"] for drop in dropped_again) == Counter(drop["reason"] for drop in dropped)


def test_real_chats_have_no_gaps(real_data):
    path = real_data / "sharegpt" / "conversations.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}")
    source, options = sharegpt.SOURCE, sharegpt.Options()
    [part] = source.plan(str(path), options, 1 << 30)
    rows = pa.concat_tables([outcome.kept for outcome in source.read(part, Reading("c", "s", options))])
    ids = rows["conversation_id"].unique()
    assert (rows.num_rows, len(ids)) == (2158, 1155)
    outcome = assemble_chats(rows, turns=Turns(), sample=1, seed=0, licenses=Licenses())
    chats = outcome.kept.to_pylist()
    assert not [chat["group_id"] for chat in chats if "#" in chat["group_id"]]
    assert outcome.tally().dropped["duplicate_id"] == 16  # empty copies of first parts
    # of 305 chats in several parts, 740 parts begin with the message that ended the one before
    assert sum(Repair.OVERLAP in chat["repairs"] for chat in chats) > 250
    assert max(Counter(message["content"] for message in chats[0]["messages"]).values()) == 1
    told = Counter(outcome.dropped["ref"].to_pylist())
    assert len({chat["group_id"] for chat in chats} | set(told)) == 1155
