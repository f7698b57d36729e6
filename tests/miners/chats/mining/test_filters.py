"""Filters of turns: each drops what it says and no more, and the first fault wins."""

import polars as pl
import pytest

from miners.chats.mining.filters import filter_turns
from miners.chats.mining.topics import find_topic, list_topics
from miners.chats.mining.words import count_words, has_words
from schemas.chat_sections import Turns

ALL = ("images", "media", "web", "identity", "attachments")


def _judge(chats, query, reply="A reply.", feedback="And then?", **filters):
    """Filter one turn -> None, or (reason, detail)."""
    table = chats.table(chats.chat("a", query, reply, feedback))
    outcome = filter_turns(table, chats.turns(table), Turns(**filters))
    assert outcome.tally().rows_in == 1
    dropped = outcome.dropped.to_pylist()
    return (dropped[0]["reason"], dropped[0]["detail"]) if dropped else None


def test_without_filters_every_turn_stays_as_it_is(chats):
    table = chats.table(chats.chat("a", "Q", "R", "F", "R", "F"))
    turns = chats.turns(table)
    assert filter_turns(table, turns, Turns()).kept == turns


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't know, mother-in-law.", 6),
        ("你好，世界！GPT4 很好", 7),  # noqa: RUF001
        ("สวัสดี", 4),  # its marks count with their letters
        ("Прошёл 1 день", 3),
        ("été e\u0301te\u0301", 2),
        ("!!! ... —", 0),
    ],
)
def test_words_are_counted_in_every_script(text, words):
    assert count_words(pl.Series([text])).to_list() == [words]


def test_words_beyond_the_beginning_count():
    texts = pl.Series(["!" * 500 + " one two three", "!" * 500 + " one two", "one two three", "one"])
    assert has_words(texts, 3).to_list() == [True, False, True, False]


def test_each_filter_drops_for_its_own_reason(chats):
    assert _judge(chats, "One two", min_query_words=3) == ("too_short", "query")
    assert _judge(chats, "你好世界", min_query_words=4) is None  # five words of the paper: no spaces in Chinese
    assert _judge(chats, "Q", reply="no", min_reply_words=2) == ("too_short", "reply")
    assert _judge(chats, "Q", feedback="ok", min_feedback_words=2) == ("too_short", "feedback")
    assert _judge(chats, "12345", max_prompt_chars=4) == ("too_long", "prompt")
    assert _judge(chats, "See https://a.example/b", links=True) == ("holds_link", "https://a")
    assert _judge(chats, "What is HTTPS://?", links=True) is None
    assert _judge(chats, "Again", feedback=" Again\n", repeated=True) == ("repeated_query", "feedback")
    assert _judge(chats, "Who are you?", topics=["identity"]) == ("off_topic", "identity")


def test_the_first_fault_wins(chats):
    assert _judge(chats, "Who", feedback="Who", repeated=True, min_query_words=2) == ("repeated_query", "feedback")


def test_turns_behind_the_twentieth_are_late(chats):
    table = chats.table(chats.chat("a", *["m"] * 45))
    outcome = filter_turns(table, chats.turns(table), Turns(max_turns=20))
    assert outcome.kept["turn"].to_pylist() == list(range(20))
    assert outcome.tally().dropped == {"too_late": 2}


def test_the_language_is_the_turns_and_not_the_conversations(chats):
    """The published script takes the language that the source gives the whole conversation."""
    english = "Please tell me what the capital of France is, and how many people live there."
    german = "Bitte schreibe mir einen kurzen Brief an meinen Vermieter, das Fenster ist undicht."
    table = chats.table(chats.chat("a", english, "It is Paris.", german, "Gern.", "Danke", language="English"))
    outcome = filter_turns(table, chats.turns(table), Turns(languages=("de",)))
    assert outcome.kept.select(["turn", "language", "reply_language"]).to_pylist() == [
        {"turn": 1, "language": "de", "reply_language": "und"}
    ]
    assert outcome.dropped.select(["reason", "detail"]).to_pylist() == [{"reason": "other_language", "detail": "en"}]


@pytest.mark.parametrize(
    ("query", "topic"),
    [
        ("Draw me a picture of a cat", "images"),
        ("Can you paint a heart?", "images"),
        ("请帮我生成一张猫的图片", "images"),
        ("Dessine-moi un mouton", "images"),
        ("Bitte erstelle mir ein Bild von einem Haus", "images"),
        ("Нарисуй мне кота", "images"),
        ("Dibuja un gato", "images"),
        ("Crie uma imagem de um gato", "images"),
        ("Could you make a video about my dog?", "media"),
        ("请制作一个产品视频", "media"),
        ("Search the web for flights to Oslo", "web"),
        ("上网搜索一下特斯拉", "web"),
        ("Busca vuelos baratos en internet", "web"),
        ("Are you ChatGPT?", "identity"),
        ("你是谁？", "identity"),  # noqa: RUF001
        ("Wer bist du?", "identity"),
        ("кто ты?", "identity"),
        ("Please summarize the attached document", "attachments"),
        ("请看附件", "attachments"),
        ("O que diz o arquivo em anexo?", "attachments"),
    ],
)
def test_what_asks_for_a_topic_is_found(query, topic):
    assert find_topic(pl.Series([query]), ALL).to_list() == [topic]


@pytest.mark.parametrize(
    "query",
    [
        "How do I withdraw money from a closed account?",
        "What is the main drawback of electric cars?",
        "Draw a conclusion from these numbers",
        "Draw a flowchart of it in Mermaid",
        "Write an essay about Claude Monet and his gardens",
        "Write a sketch comedy about two plumbers",
        "Which muscles are attached to the femur?",
        "Summarize the document above in three lines",
        "Paint a picture of her daily life in words",
        "How would I upload a file to MongoDB?",
        "Write a script for a video about bees",
        "How do I make a docker image smaller?",
        "Write code to search the web for news",
        "In chess, which model of opening are you familiar with?",
        "动画片的脚本怎么写？",  # noqa: RUF001
    ],
)
def test_what_only_holds_the_word_is_not(query):
    """The published lists are of substrings: "draw" drops "withdraw", "claude" the painter."""
    assert find_topic(pl.Series([query]), ALL).to_list() == [None]


def test_pasted_text_does_not_speak_for_the_user():
    pasted = "Summarize this story. " + "She went on. " * 60 + "Who are you? " + "He said nothing. " * 60 + "Be brief."
    assert find_topic(pl.Series([pasted]), ALL).to_list() == [None]


def test_every_topic_of_a_recipe_is_declared_with_lower_case_hints():
    assert set(list_topics()) == set(ALL)
    assert all(hint == hint.lower() for topic in list_topics().values() for hint in topic.hints)
