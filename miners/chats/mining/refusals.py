"""Refusals: fault found with a reply that declined. Where it was right to, the fault is the query's (WildReward, 3)."""

import polars as pl
import pyarrow as pa

from miners.chats.mining.texts import TurnTexts
from miners.chats.mining.views import WILDREWARD, View, is_one_of
from schemas.chat_sections import Refusals
from schemas.judging import Origin, State
from schemas.mining import LABELLED, TURN

_PHRASES = (
    r"\b(?:sorry|apologi[sz]e|my apologies|unfortunately|regret(?:fully)?)\b",
    r"\b(?:i|we) (?:can't|cannot|can not|could not|couldn't|won't|will not|am not able|am unable)\b",
    r"\bi must (?:decline|refuse)\b",
    r"\bi'm (?:not able|unable|not comfortable|not allowed|not permitted|not programmed|not capable)\b",
    r"\bi (?:do not|don't) (?:have (?:the|any) (?:ability|access|capability)|feel comfortable|have access)\b",
    r"\bas an? (?:ai|artificial intelligence|(?:ai )?language model|large language model)\b",
    r"\bagainst (?:my|openai's|the) (?:programming|guidelines|polic(?:y|ies)|principles)\b",
    r"\bnot (?:appropriate|ethical) (?:for me )?to\b",
    r"\bi (?:refuse|decline) to\b|\bunable to (?:assist|help|fulfill|comply|provide|generate|answer)\b",
    # Chinese, simplified and traditional; Japanese; Korean: no borders between words
    r"抱歉|对不起|對不起|很遗憾|很遺憾",
    r"我(?:无法|無法|不能|不可以|没有办法|沒有辦法|没办法|拒绝)",
    r"无法(?:提供|满足|回答|协助|完成|帮助|生成|讨论)",
    r"作为(?:一个|一名|一款)?(?:ai|人工智能|语言模型)",
    r"申し訳|すみません|できません|お答えでき|죄송|미안|할 수 없|도와드릴 수 없",
    # Spanish, Portuguese, French, Italian, German, Russian, Arabic
    r"\b(?:lo siento|lamento|disculp[ae]|no puedo)\b",
    r"\b(?:desculpe|sinto muito|não posso|não consigo|infelizmente|lamentablemente)\b",
    r"\b(?:désolée?|je (?:ne peux|ne suis) pas|malheureusement|mi dispiace|non posso|purtroppo)\b",
    r"\b(?:tut mir leid|ich kann (?:\p{L}+ ){0,3}nicht|entschuldigung|leider)\b",
    r"\b(?:извините|простите|к сожалению|я не (?:могу|в состоянии))\b|آسف|عذرا|لا (?:أستطيع|يمكنني)",
)
"""What declines or excuses itself, in lower case. A judge reads what is found: too much costs a question, no label."""


def find_refusals(chats: pa.Table, labelled: pa.Table, refusals: Refusals, view: View = WILDREWARD) -> pa.Table:
    """Find the turns (LABELLED) whose reply may be a refusal that was marked down -> those turns, as TURN.

    They are negative, whether by their own verdict or by hindsight, and their reply is shorter than
    `refusals.max_reply_chars` and holds a phrase of refusal. (The published code asks of every label, so that praise
    is overwritten.) None where the view takes no account of refusals.
    """
    if refusals.validate_with == "off" or not view.refusals:
        return labelled.slice(0, 0).select(TURN.names).cast(TURN)
    short = pl.DataFrame(labelled).select(is_one_of(view.negative) & (pl.col("reply_chars") < refusals.max_reply_chars))
    candidates = labelled.filter(short.to_series().to_arrow())
    reply = TurnTexts(chats, candidates).read(0).str.to_lowercase().str.replace_all("\u2019", "'", literal=True)
    found = reply.str.contains("|".join(_PHRASES))
    return candidates.filter(found.to_arrow()).select(TURN.names).cast(TURN)


def apply_refusals(labelled: pa.Table, verdicts: pa.Table, view: View = WILDREWARD) -> pa.Table:
    """Correct the labels of negative turns (LABELLED) by what the rubric `refusal` found (VERDICT): LABELLED.

    A label changes as `view.refusals` says; then origin, votes and judge are those of the refusal's verdict, and
    `label_probs`, which would be of other answers, are null. What was not asked, or failed, or is no refusal, changes
    nothing. (The published code makes every failed call a false refusal.) Order is kept.
    """
    asked = pl.DataFrame(verdicts).filter(pl.col("state") == State.OK.value)
    answers = asked.select("uid", pl.col("label").alias("answer"), pl.col(*_JUDGED).name.prefix("new_"))
    frame = pl.DataFrame(labelled).join(answers, on="uid", how="left", maintain_order="left")
    becomes = pl.col("answer").replace_strict(dict(view.refusals), default=None, return_dtype=pl.Int8)
    changes = is_one_of(view.negative) & becomes.is_not_null() & (becomes != pl.col("label")).fill_null(value=False)
    frame = frame.with_columns(
        *(pl.when(changes).then(f"new_{name}").otherwise(name).alias(name) for name in _JUDGED),
        label=pl.when(changes).then(becomes).otherwise("label"),
        label_probs=pl.when(~changes).then("label_probs"),
        origin=pl.when(changes).then(pl.lit(Origin.REFUSAL.value)).otherwise("origin"),
        label_turn=pl.when(changes).then("turn").otherwise("label_turn"),
        likeness=pl.when(~changes).then("likeness"),
    )
    return frame.select(LABELLED.names).to_arrow().cast(LABELLED)


_JUDGED = ("agreement", "judge", "judge_model", "rubric")
