"""Preferences: a reply that the user found fault with, and a later one, on the same topic, that pleased.

WildFeedback (arXiv 2408.15549, section 3) makes pairs of a reply that displeased and of a preferred one, which for a
part of them GPT-4 writes. Here both replies are the log's own, so that a pair costs nothing. But the later one answers
a later message: pairs are candidates. Real ShareGPT chats, 6,162 turns read by the embedded judge, of which 630
negative, gave 14: to one reader 4 of them answer the earlier prompt better, 3 perhaps, and 7 do not (the user had asked
for something else meanwhile, five times; the reply was cut off, twice). Neither a surer judge (`min_probability` .8)
nor more likeness (.5) tells them apart: either leaves 6, 3 of them of the 7.
"""

import polars as pl
import pyarrow as pa

from miners.chats.mining.hindsight import look_ahead
from miners.chats.mining.texts import TurnTexts
from miners.chats.mining.views import find_view, is_one_of, is_unsure
from schemas.chat_sections import Feedback, Hindsight
from schemas.judging import Origin


def find_better(chats: pa.Table, labelled: pa.Table, feedback: Feedback, hindsight: Hindsight) -> pl.DataFrame:
    """Find for replies that displeased the next one that pleased: `uid, better, better_turn`, of those that have one.

    chats: the conversations (CHAT) of all turns (LABELLED, hindsight and refusals done). The look ahead is that of
    hindsight, over as many turns, with the same likeness, and over no gap. Of both replies the judge itself must have
    read the label, as surely as `feedback` asks; a later reply that is the same to the letter is none.
    """
    view = find_view(feedback.view)
    frame = pl.DataFrame(labelled).with_row_index("at")
    texts = TurnTexts(chats, labelled)
    real = (pl.col("origin") == Origin.DIRECT.value) & ~is_unsure(feedback)
    seeks, fits = (real & is_one_of(labels) for labels in (view.negative, view.positive))
    found = look_ahead(frame, texts, hindsight, seeks=seeks, fits=fits)
    own, better = (texts.read(0, found[side].to_numpy()) for side in ("at", "giver"))
    pairs = pl.DataFrame(
        {"uid": frame["uid"][found["at"]], "better": better, "better_turn": frame["turn"][found["giver"]]}
    )
    return pairs.filter(own != better)
