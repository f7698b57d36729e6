"""The three signals: what a release holds. One envelope, then the columns of the signal."""

import pyarrow as pa

from schemas.inputs import MESSAGE, UTC_MILLIS

MESSAGES = pa.list_(MESSAGE)

_ENVELOPE = [
    pa.field("uid", pa.string(), nullable=False),  # 32 hex digits, from the content: the same in every rebuild
    pa.field("route", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("community", pa.string(), nullable=False),
    pa.field("group_id", pa.string(), nullable=False),  # thread, document or conversation: the unit of splitting
    pa.field("cluster_id", pa.string(), nullable=False),  # of near-duplicate groups; a group alone is its own
    pa.field("language", pa.string()),
    pa.field("license", pa.string()),
    pa.field("url", pa.string()),
    pa.field("attribution", pa.string()),
    pa.field("created_at", UTC_MILLIS),
    pa.field("split", pa.string(), nullable=False),
    pa.field("weight", pa.float32(), nullable=False),
]

PAIR = pa.schema(
    [
        *_ENVELOPE,
        pa.field("prompt", MESSAGES, nullable=False),
        pa.field("chosen", MESSAGES, nullable=False),
        pa.field("rejected", MESSAGES, nullable=False),
        pa.field("prompt_id", pa.string(), nullable=False),  # the post that both replies answer
        pa.field("prompt_votes", pa.int64(), nullable=False),
        pa.field("prompt_views", pa.int64()),
        pa.field("chosen_id", pa.string(), nullable=False),
        pa.field("rejected_id", pa.string(), nullable=False),
        pa.field("chosen_votes", pa.int64(), nullable=False),  # net votes
        pa.field("rejected_votes", pa.int64(), nullable=False),
        pa.field("chosen_score", pa.int64(), nullable=False),  # net votes + 1 if accepted (WorldPM A.2)
        pa.field("rejected_score", pa.int64(), nullable=False),
        pa.field("chosen_upvotes", pa.int64()),
        pa.field("rejected_upvotes", pa.int64()),
        pa.field("chosen_downvotes", pa.int64()),
        pa.field("rejected_downvotes", pa.int64()),
        pa.field("chosen_accepted", pa.bool_(), nullable=False),
        pa.field("rejected_accepted", pa.bool_(), nullable=False),
        pa.field("margin", pa.int64(), nullable=False),  # in what the view orders by (default: the scores); always > 0
        pa.field("confidence", pa.float32(), nullable=False),  # that the chosen reply is the better one, by the votes
        pa.field("chosen_rank", pa.int32(), nullable=False),  # 1 is the best-scored reply of the thread
        pa.field("rejected_rank", pa.int32(), nullable=False),
        pa.field("replies", pa.int32(), nullable=False),  # candidates in the thread
        pa.field("chosen_share", pa.float32()),  # of the net votes above 0 of all candidates; null where nobody has any
        pa.field("rejected_share", pa.float32()),
        pa.field("chosen_order", pa.int32()),  # of arrival among the candidates: 1 came first
        pa.field("rejected_order", pa.int32()),
        pa.field("chosen_created_at", UTC_MILLIS),
        pa.field("rejected_created_at", UTC_MILLIS),
        pa.field("seconds_later", pa.int64()),  # from the rejected to the chosen reply; negative: the chosen came first
        pa.field("chosen_votes_same_age", pa.int64()),  # net votes when as old as the younger one is at the last vote
        pa.field("rejected_votes_same_age", pa.int64()),
        pa.field("chosen_author", pa.string()),
        pa.field("rejected_author", pa.string()),
        pa.field("chosen_language", pa.string()),  # `language` is the prompt's
        pa.field("rejected_language", pa.string()),
        pa.field("likeness", pa.float32(), nullable=False),  # Jaccard of their words; 0 where lengths differ much
        pa.field("views", pa.list_(pa.string()), nullable=False),  # published views whose rules the pair meets
        pa.field("pii", pa.int32(), nullable=False),  # placeholders that stand for personal data in the three texts
        pa.field("terms", pa.string()),  # what the licences ask for, in words
        pa.field("chosen_reward", pa.float64()),  # from a scorer outside
        pa.field("rejected_reward", pa.float64()),
        pa.field("prompt_chars", pa.int64(), nullable=False),
        pa.field("chosen_chars", pa.int64(), nullable=False),
        pa.field("rejected_chars", pa.int64(), nullable=False),
        pa.field("prompt_tokens", pa.int64(), nullable=False),  # estimated: characters / 4
        pa.field("chosen_tokens", pa.int64(), nullable=False),  # prompt + reply, as a trainer's max_length counts
        pa.field("rejected_tokens", pa.int64(), nullable=False),
    ]
)

CONTINUATION = pa.schema(
    [
        *_ENVELOPE,
        pa.field("prefix", pa.string(), nullable=False),
        pa.field("suffix", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),  # character offsets into the document
        pa.field("cut", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("mode", pa.string(), nullable=False),  # fixed, random or sentence
        pa.field("host", pa.string()),  # of the document's URL
        pa.field("prefix_tokens", pa.int32(), nullable=False),
        pa.field("suffix_tokens", pa.int32(), nullable=False),
        pa.field("prefix_ids", pa.list_(pa.int32())),  # token ids, where the recipe asks for them
        pa.field("suffix_ids", pa.list_(pa.int32())),
        pa.field("suffix_key", pa.uint64(), nullable=False),  # of the suffix without case and spacing
        pa.field("hard", pa.string()),  # why its window holds hard negatives for it: same_host, same_document
    ]
)

FEEDBACK = pa.schema(
    [
        *_ENVELOPE,
        pa.field("prompt", MESSAGES, nullable=False),  # all that stood before the response; ends with the query
        pa.field("response", pa.string(), nullable=False),  # what is rated
        pa.field("feedback", pa.string(), nullable=False),  # the user's next message
        pa.field("user", pa.string()),  # salted hash; no user is in two splits
        pa.field("model", pa.string()),  # that wrote the response
        pa.field("country", pa.string()),
        pa.field("turn", pa.int32(), nullable=False),  # of the response among those of its conversation, from 0
        pa.field("turn_id", pa.string()),  # as the source names it
        pa.field("toxic", pa.bool_()),
        pa.field("redacted", pa.bool_()),
        pa.field("label", pa.int8(), nullable=False),  # of the rubric, from 1; wildreward: 1 rejects, 5 is pleased
        pa.field("category", pa.string(), nullable=False),  # the label's name in its rubric
        pa.field("ordinal", pa.int8()),  # 1-4, neutral left out; null where the view has no order
        pa.field("label_probs", pa.list_(pa.float32())),  # of the rubric's labels, as the judge said; or null
        pa.field("agreement", pa.float32(), nullable=False),  # share of the judge's votes for the label
        pa.field("judge", pa.string(), nullable=False),  # fingerprint of rubric, model and sampling
        pa.field("judge_model", pa.string(), nullable=False),
        pa.field("rubric", pa.string(), nullable=False),  # name and version
        pa.field("origin", pa.string(), nullable=False),  # direct, hindsight, refusal
        pa.field("first_label", pa.int8(), nullable=False),  # the judge's own, before hindsight and refusals
        pa.field("label_turn", pa.int32(), nullable=False),  # whose label it is: of hindsight, a later turn
        pa.field("likeness", pa.float32()),  # of hindsight: of the two turns' topics
        pa.field("better", pa.string()),  # of a response that a user found fault with: a later one that pleased
        pa.field("better_turn", pa.int32()),  # which one; both null where there is none within reach
        pa.field("reply_language", pa.string()),  # `language` is the query's, or what the log says of the conversation
        pa.field("feedback_language", pa.string()),
        pa.field("pii", pa.int32(), nullable=False),  # placeholders that stand for personal data in the conversation
        pa.field("prompt_chars", pa.int64(), nullable=False),
        pa.field("response_chars", pa.int64(), nullable=False),
        pa.field("feedback_chars", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),  # of prompt and response; estimated: characters / 4
    ]
)
