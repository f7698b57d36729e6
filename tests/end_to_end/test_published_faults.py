"""What WildReward's published scripts do wrong, each beside what is done here: the rule as they have it, then ours.

The scripts are collect_rm_data of github.com/THU-KEG/WildReward, named by the step's number; the naive functions below
are their rules in our words. Shown elsewhere:

- 01, the judge may rate the reply itself: `test_no_rubric_on_feedback_lets_the_judge_rate_the_reply`.
- 02, all is written at the end, and nothing is kept of a run that stops: `test_asking_killed.py`, and in
  `test_chats.py` `test_a_server_s_answers_are_the_labels_and_are_never_asked_again`; one way of retrying whatever went
  wrong: `test_client.py`.
- 05, one pair a call, and 08, a split by rows without a seed that leaks users, no dedupe, no check of benchmarks: in
  `test_chats.py` `test_no_user_and_no_conversation_stands_in_two_splits`,
  `test_the_cutting_of_the_work_changes_no_byte` and `test_a_benchmark_s_item_is_not_released`.
- Toxic chats are not looked at: `test_gates_look_at_conversations_and_messages`.
- Training, where the prompt speaks of five levels and the labels of four: `test_four_levels_are_left_of_five`.
"""

import re
from datetime import UTC, datetime
from functools import partial

import polars as pl
import pyarrow as pa
import pytest

from flows.judging.dialects import DIALECTS
from miners.chats.mining.conversations import assemble_chats
from miners.chats.mining.filters import filter_turns
from miners.chats.mining.hindsight import apply_hindsight, label_turns
from miners.chats.mining.questions import write_questions
from miners.chats.mining.refusals import apply_refusals, find_refusals
from miners.chats.mining.rubrics import find_rubric
from miners.chats.mining.texts import join_prompts
from miners.chats.mining.turns import find_turns
from miners.chats.wildchat import SCHEMA, SOURCE
from miners.source import Reading
from schemas.chat_sections import Hindsight, Judge, Refusals, Turns
from schemas.inputs import CONVERSATION
from schemas.judging import VERDICT, State
from schemas.recipe import Licenses
from schemas.signals import FEEDBACK
from warehouse.feedback_projections import project_ordinal

RUBRIC = find_rubric("wildreward")
ANSWERS = RUBRIC.answers
NOON = datetime(2024, 8, 1, 12, tzinfo=UTC)
PRUNING = [  # one topic, turn after turn
    "How do I prune old apple trees in winter?",
    "Prune old apple trees in winter by cutting dead apple branches first.",
    "And which apple branches do I prune in old trees?",
    "On old apple trees prune the crossing apple branches in winter.",
    "Which saw prunes old apple trees and their branches?",
    "A folding saw prunes the branches of old apple trees in winter.",
    "Thanks!",
]

_COLUMNS = ("prompt", "response", "label_probs", "weight", "judge_model", "rubric", "turn", "language", "group_id")
_ROWS = pa.schema([FEEDBACK.field(name) for name in (*_COLUMNS, "ordinal")])


def chats_of(*chats, **turns):
    """Assemble conversations: each is its texts in turn, the user's first."""
    rows = [
        {
            "source": "test",
            "conversation_id": f"c{at}",
            "part": 0,
            "messages": [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)],
        }
        for at, said in enumerate(chats)
    ]
    table = pa.Table.from_pylist(rows, CONVERSATION)
    return assemble_chats(table, turns=Turns(**turns), sample=1.0, seed=0, licenses=Licenses()).kept


def verdicts_on(turns, *labels):
    """Say what a judge says of turns, in order: a label, or a State."""
    rows = [
        {"uid": uid, "state": label if isinstance(label, State) else State.OK, "rubric": RUBRIC.id, "agreement": 1.0}
        | {"label": None if isinstance(label, State) else label, "judge": "j", "judge_model": "m"}
        for uid, label in zip(turns["uid"].to_pylist(), labels, strict=True)
    ]
    return pa.Table.from_pylist(rows, VERDICT)


def label(chats, *labels, **hindsight):
    turns = find_turns(chats).kept
    return apply_hindsight(chats, turns, verdicts_on(turns, *labels), Hindsight(**hindsight))


def refusal_of(reply, given=1):
    """One chat whose reply is this, and its turn, judged so."""
    chats = chats_of(["Tell me about it.", reply, "Why not?"])
    return chats, label_turns(find_turns(chats).kept, verdicts_on(find_turns(chats).kept, given))


def read(path):
    """Read a file of WildChat."""
    [(name, found)] = SOURCE.find(str(path)).items()
    given = SOURCE.options()
    [part] = SOURCE.plan(found, given, 1 << 30)
    return [one.kept for one in SOURCE.read(part, Reading(SOURCE.community(name), "salt", given, 1 << 20))]


def published_parse(said):
    """Parse a label as 03 and 07 do."""
    found = re.search(r"\[\[(\d)\]\]", said)
    return int(found[1]) if found else 0


@pytest.mark.parametrize("reply", ["Sorry, that is not something to be told.", "我无法回答这个问题。"])
def test_06_a_missing_comma_hides_refusals(reply):
    published = ["as an ai", "sorry我无法", "cannot assist"]  # "sorry" "我无法": two without a comma
    assert not any(keyword in reply.lower() for keyword in published)
    assert find_refusals(*refusal_of(reply), Refusals()).num_rows == 1


@pytest.mark.parametrize("failure", [state for state in State if state != State.OK])
def test_07_a_failed_call_is_no_false_refusal(failure):
    assert {0: 1, 1: 5}.get(published_parse("NA"), 2) == 1  # of a turn that was 2
    _, labelled = refusal_of("Sorry, no.", given=2)
    assert apply_refusals(labelled, verdicts_on(labelled, failure)).equals(labelled)


@pytest.mark.parametrize("said", ["NA", "[[0]]", "[[7]]", "[[12]]", "", "6", "no idea"])
def test_03_what_is_no_answer_is_no_label(said):
    assert published_parse("[[7]] fine") == 7  # and 0 and 9
    body = {"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}
    for dialect in DIALECTS:
        reading = dialect.read(body, ANSWERS)
        assert (reading.state, reading.answer) == (State.UNPARSEABLE, None)


def test_01_the_judge_reads_texts_and_not_what_holds_them():
    message = {"role": "user", "content": "How do I prune?"}
    assert "{'role'" in f"User: {message}"
    chats = chats_of(["How do I prune?", "With a saw.", "Fine."])
    judge = Judge(kind="server", model="m", urls=("http://127.0.0.1:1/v1",))
    [text] = write_questions(chats, find_turns(chats).kept, RUBRIC, judge).kept["text"].to_pylist()
    assert "\nHow do I prune?\n" in text
    assert "'role'" not in text
    assert "'content'" not in text


def test_05_a_turn_with_two_successors_is_written_once_and_takes_the_first():
    labels = [3, 4, 5]
    published = [(0, labels[ahead]) for ahead in (1, 2) if labels[ahead] >= 4]
    assert published == [(0, 4), (0, 5)]
    rows = label(chats_of(PRUNING), *labels)
    assert rows["turn"].to_pylist() == [0, 1, 2]
    assert rows["label"].to_pylist() == [4, 4, 5]
    assert rows["origin"].to_pylist() == ["hindsight", "direct", "direct"]


def test_05_a_history_has_no_gaps_where_a_turn_failed():
    labels = [4, State.ERROR, 5]
    published = [PRUNING[2 * turn] for turn, said in enumerate(labels[:2]) if isinstance(said, int)]
    assert PRUNING[2] not in published
    chats = chats_of(PRUNING)
    last = label(chats, *labels).slice(2)
    assert [message["content"] for message in join_prompts(chats, last)[0].as_py()] == PRUNING[:5]


def test_05_topics_are_compared_in_chinese_too():
    same = [
        "冬天怎么修剪老苹果树",
        "冬天修剪老苹果树先剪枯枝。",
        "修剪老苹果树用什么锯",
        "修剪老苹果树用折叠锯。",
        "谢谢",
    ]
    other = [*same[:2], "推荐几本历史小说。", "可以读《三国演义》。", "谢谢"]
    assert label(chats_of(same), 3, 5)["label"].to_pylist() == [5, 5]
    assert label(chats_of(other), 3, 5)["label"].to_pylist() == [3, 5]


def test_06_praise_is_not_overwritten_and_hindsight_does_not_escape():
    published = (1, 2, 4, 5)  # the filter on labels is commented out
    asked = [given for given in published if find_refusals(*refusal_of("Sorry, no.", given), Refusals()).num_rows]
    assert asked == [1, 2]
    _, praised = refusal_of("Sorry, no.", given=5)
    assert apply_refusals(praised, verdicts_on(praised, 1))["label"].to_pylist() == [5]
    refused = [*PRUNING[:1], "Sorry, I cannot help to prune old apple trees in winter.", *PRUNING[2:]]
    chats = chats_of(refused)
    labelled = label(chats, 3, 1, 4, positive=False, negative=True)
    assert labelled["origin"].to_pylist()[0] == "hindsight"
    assert find_refusals(chats, labelled, Refusals())["turn"].to_pylist() == [0]


@pytest.mark.parametrize(
    ("keyword", "query"),
    [
        ("draw", "Can I withdraw money abroad without drawbacks?"),
        ("claude", "What did Claude Monet think of his lilies?"),
        ("sketch", "This plan is sketchy: what is missing in it?"),
        ("attached", "How do I stay less attached to old things?"),
        ("the document", "Which of the documentaries on whales is the best?"),
    ],
)
def test_08_a_word_that_holds_a_keyword_is_not_the_keyword(keyword, query):
    assert keyword in query.lower()
    chats = chats_of([query, "An answer.", "Fine."])
    asked = Turns(topics=("images", "media", "web", "identity", "attachments"))
    assert filter_turns(chats, find_turns(chats).kept, asked).dropped.num_rows == 0


@pytest.mark.parametrize(("order", "expected"), [("before", [3, 4]), ("after", [5, 4])])
def test_08_an_unfit_turn_s_praise_is_taken_where_filters_come_after_it(order, expected):
    chats = chats_of([*PRUNING[:2], "Old apple trees?", *PRUNING[3:]])
    fit = partial(filter_turns, chats, filters=Turns(min_query_words=5))
    turns = find_turns(chats).kept
    verdicts, asked = verdicts_on(turns, 3, 5, 4), Hindsight(turns=1)
    labelled = apply_hindsight(chats, turns if order == "after" else fit(turns).kept, verdicts, asked)
    kept = fit(labelled).kept
    assert kept["turn"].to_pylist() == [0, 2]
    assert kept["label"].to_pylist() == expected


def test_08_lengths_are_counted_in_scripts_without_spaces():
    query = "请问冬天怎么修剪老苹果树才不会伤到它们"
    assert len(query.split()) == 1
    chats = chats_of([query, "先剪枯枝又再剪交叉的枝条。", "好"])
    assert filter_turns(chats, find_turns(chats).kept, Turns(min_query_words=5, min_reply_words=10)).kept.num_rows == 1


def test_08_personal_data_is_masked_in_history_reply_and_follow_up():
    mail = "write to ann@posteo.de or call"
    published = [re.sub(r"\S+@\S+", "[EMAIL]", mail), mail, mail]  # of the query alone
    assert "ann@" in published[1]
    [chat] = chats_of([mail, mail, mail, mail, mail], pii="mask").to_pylist()
    assert not any("ann@" in message["content"] for message in chat["messages"])


@pytest.mark.parametrize("word", ["apple ", "苹"])
@pytest.mark.parametrize(("before", "query"), [(20_000, 0), (0, 20_000)])  # words
def test_08_what_is_too_long_loses_its_history_then_its_query_and_never_the_reply(word, before, query):
    history, reply = word * before, f"The reply begins, {word * 30} and ends."
    asked = f"And now, {word * query} what else?"
    published = f"{history}\n{asked}\n{reply}"[:12_000]
    assert "ends." not in published
    chats = chats_of([f"So. {history}", "Yes.", asked, reply, "Thanks!"])
    last = find_turns(chats).kept.slice(1)
    row = {"prompt": join_prompts(chats, last)[0].as_py(), "response": reply, "ordinal": 4, "group_id": "c0", "turn": 1}
    judged = {"label_probs": None, "weight": 1.0, "judge_model": "m", "rubric": RUBRIC.id, "language": None}
    [text] = project_ordinal(pa.Table.from_pylist([row | judged], _ROWS))["text"].to_pylist()
    assert text.endswith(f"what else?\n\n# Response\n{reply}")
    assert len(text.encode()) < 13_000  # about 4,096 tokens, whatever the script


def test_04_two_users_who_said_the_same_are_two_conversations(tmp_path):
    message = {"turn_identifier": 7, "role": "user", "content": "Hi", "hashed_ip": "a"}
    rows = [
        {"conversation_hash": "same", "conversation": [message | {"turn_identifier": first}], "timestamp": NOON}
        for first in (7, 9)
    ]
    assert len({row["conversation_hash"] for row in rows}) == 1
    path = tmp_path / "train.parquet"
    pl.from_arrow(pa.Table.from_pylist(rows, SCHEMA)).write_parquet(path)
    names = [name for table in read(path) for name in table["conversation_id"].to_pylist()]
    assert names == ["same-7", "same-9"]
