"""What travels within the routes: posts in threads, pairs, drawn pairs, opinions and verdicts; blocks; chats, turns."""

import pyarrow as pa

from schemas import judging
from schemas.inputs import CONVERSATION, POST, UTC_MILLIS
from schemas.signals import CONTINUATION, PAIR

THREAD_POST = pa.schema(
    [
        *POST,
        pa.field("group_id", pa.string(), nullable=False),  # source/community/thread
        pa.field("replies_to", pa.string()),  # of a candidate: the post that it answers; null: never paired
        pa.field("reply_score", pa.int64(), nullable=False),  # net votes + 1 if accepted (WorldPM A.2)
        pa.field("chars", pa.int64(), nullable=False),  # of title and body as they are shown
        pa.field("text_hash", pa.string(), nullable=False),  # of title and body, to the letter
        pa.field("text_key", pa.uint64(), nullable=False),  # of the same without case and spacing
        pa.field("language", pa.string()),  # ISO 639, `und` where unsure; null: not looked at
        pa.field("pii", pa.int32(), nullable=False),  # placeholders put in for personal data
    ]
)
"""Posts of threads that can give pairs: POST with Markdown bodies, `accepted` resolved, and what pairs need."""

_MADE_LATER = {"uid", "margin", "views", "terms", "chosen_reward", "rejected_reward"}
_ENVELOPE_LATER = {"route", "source", "community", "cluster_id", "language", "license", "url", "attribution"}
_TEXTS_LATER = {"prompt", "chosen", "rejected", "created_at", "split", "weight"}

PAIR_STORE = pa.schema(
    [
        *(field for field in PAIR if field.name not in _MADE_LATER | _ENVELOPE_LATER | _TEXTS_LATER),
        pa.field("prompt_language", pa.string()),
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("asked_at", UTC_MILLIS),  # when the question was written
        pa.field("prompt_hash", pa.string(), nullable=False),  # text_hash of the post that both answer
        pa.field("chosen_hash", pa.string(), nullable=False),
        pa.field("rejected_hash", pa.string(), nullable=False),
        pa.field("chosen_key", pa.uint64(), nullable=False),  # text_key
        pa.field("rejected_key", pa.uint64(), nullable=False),
        pa.field("question_edited", pa.bool_(), nullable=False),
        pa.field("chosen_edited", pa.bool_(), nullable=False),
        pa.field("rejected_edited", pa.bool_(), nullable=False),
        pa.field("question_flags", pa.list_(pa.string()), nullable=False),
        pa.field("chosen_flags", pa.list_(pa.string()), nullable=False),
        pa.field("rejected_flags", pa.list_(pa.string()), nullable=False),
        pa.field("chosen_by_asker", pa.bool_(), nullable=False),
        pa.field("rejected_by_asker", pa.bool_(), nullable=False),
        pa.field("draw", pa.uint64(), nullable=False),  # chance, as a hash: views draw the smallest
    ]
)
"""Two candidates that answer one post, without their texts. `chosen` has the higher score; of equal scores, the more
votes; of equal votes, what was not accepted. A view may turn a pair round."""

DRAWN = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("cluster_id", pa.string(), nullable=False),
        *PAIR_STORE,
        *(PAIR.field(name) for name in ("margin", "views")),
    ]
)
"""Pairs that a view took, turned as it orders them, still without texts."""

OPINION = pa.schema(
    [
        pa.field("key", pa.uint64(), nullable=False),  # of the two replies, whichever is chosen
        pa.field("ref", pa.uint64(), nullable=False),  # of the pair, in its input
        pa.field("sense", pa.bool_(), nullable=False),  # which of the two is chosen
        pa.field("kept", pa.bool_(), nullable=False),  # whether dedupe kept its thread
    ]
)
"""What one pair says of two replies. A pair has two keys: its replies' ids, and their texts under the cluster."""

VERDICT = pa.schema([pa.field("ref", pa.uint64(), nullable=False), pa.field("reason", pa.string(), nullable=False)])
"""Pairs that set-wide rules found fault with, and why."""

BLOCK = pa.schema([field for field in CONTINUATION if field.name != "split"])
"""Blocks of documents, before they have a split."""

CHAT = pa.schema(
    [
        *(field for field in CONVERSATION if field.name != "part"),
        pa.field("group_id", pa.string(), nullable=False),  # source/conversation_id
        pa.field("repairs", pa.list_(pa.string()), nullable=False),  # what was done to bring the roles in order
        pa.field("pii", pa.int32(), nullable=False),  # placeholders put in for personal data
    ]
)
"""Whole conversations: an optional system message, then user and assistant in turns, the user first."""

TURN = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("turn", pa.int32(), nullable=False),  # of the reply among the replies of its conversation, from 0
        pa.field("reply_at", pa.int32(), nullable=False),  # place in CHAT.messages; the follow-up is the next one
        pa.field("turn_id", pa.string()),  # of the reply, as the source names it
        pa.field("user", pa.string()),
        pa.field("language", pa.string()),  # of the query: ISO 639, `und` where unsure; null: not looked at
        pa.field("reply_language", pa.string()),
        pa.field("feedback_language", pa.string()),
        pa.field("query_chars", pa.int64(), nullable=False),
        pa.field("reply_chars", pa.int64(), nullable=False),
        pa.field("feedback_chars", pa.int64(), nullable=False),
    ]
)
"""Replies that a user's message follows, without texts: these stand in the CHAT of the same partition."""

LABELLED = pa.schema(
    [
        *TURN,
        *(field for field in judging.VERDICT if field.name != "uid"),  # label: the one that counts in the end
        pa.field("origin", pa.string(), nullable=False),  # an Origin
        pa.field("first_label", pa.int8()),  # the judge's own, before hindsight and refusals; null unless ok
        pa.field("label_turn", pa.int32(), nullable=False),  # whose label it is: of hindsight, a later turn
        pa.field("likeness", pa.float32()),  # of hindsight: of the two turns' topics
    ]
)
"""Turns that a judge was asked about. `label_probs`, `agreement` and the judge's names are those of `label`."""
