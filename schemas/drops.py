"""Why a row was dropped: one declared vocabulary, and the schema in which dropped rows are kept."""

from enum import StrEnum

import pyarrow as pa


class DropReason(StrEnum):
    """Every reason for which a stage may drop a row. `describe` says each in words."""

    # quarantine: input that could not be decoded
    MALFORMED_ROW = "malformed_row"
    INVALID_UTF8 = "invalid_utf8"
    UNKNOWN_ENTITY = "unknown_entity"
    CONTROL_CHARACTER = "control_character"
    BAD_ATTRIBUTE = "bad_attribute"
    ROW_TOO_LONG = "row_too_long"
    TRUNCATED = "truncated"
    # what a source declares not to be a post
    NOT_A_POST = "not_a_post"
    REMOVED = "removed"
    NOT_SAMPLED = "not_sampled"
    # joins
    ORPHAN_COMMENT = "orphan_comment"
    # threads
    DUPLICATE_ID = "duplicate_id"
    ORPHAN_REPLY = "orphan_reply"
    BROKEN_CHAIN = "broken_chain"
    EMPTY_BODY = "empty_body"
    TOO_FEW_REPLIES = "too_few_replies"
    ALL_TIED = "all_tied"
    # filters
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    OTHER_LANGUAGE = "other_language"
    LINK_ONLY = "link_only"
    MEDIA_ONLY = "media_only"
    HTML_ONLY = "html_only"
    BOT = "bot"
    QUOTES_QUESTION = "quotes_question"
    BOILERPLATE = "boilerplate"
    NSFW = "nsfw"
    SELF_ANSWER = "self_answer"
    EDITED_AFTER_VOTES = "edited_after_votes"
    FLAGGED = "flagged"
    LICENSE_REFUSED = "license_refused"
    # pairs
    NOT_A_CANDIDATE = "not_a_candidate"
    OVER_PAIR_CAP = "over_pair_cap"
    # dedupe
    SAME_THREAD = "same_thread"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    UNVERIFIED = "unverified"
    # views
    THREAD_DROPPED = "thread_dropped"
    TIED = "tied"
    LOW_SCORE = "low_score"
    LOW_PROMPT_SCORE = "low_prompt_score"
    LOW_MARGIN = "low_margin"
    LOW_RATIO = "low_ratio"
    LOW_CONFIDENCE = "low_confidence"
    NOT_LATER = "not_later"
    FAR_APART = "far_apart"
    OUT_OF_PERIOD = "out_of_period"
    EDITED = "edited"
    NOT_A_TEXT_POST = "not_a_text_post"
    BY_MODERATOR = "by_moderator"
    BY_DELETED_AUTHOR = "by_deleted_author"
    BY_ASKER = "by_asker"
    NOT_TOP_LEVEL = "not_top_level"
    UNEQUAL_LENGTH = "unequal_length"
    NOT_DRAWN = "not_drawn"
    OVER_AUTHOR_CAP = "over_author_cap"
    # pair hygiene
    NEARLY_EQUAL = "nearly_equal"
    REPEATED_PAIR = "repeated_pair"
    CONTRADICTED = "contradicted"
    # documents
    LOW_QUALITY = "low_quality"
    REPETITIVE = "repetitive"
    FEW_FORMULAS = "few_formulas"
    OTHER_SITE = "other_site"
    # blocks
    NO_BLOCK = "no_block"
    CROWDED = "crowded"
    # conversations
    UNKNOWN_ROLE = "unknown_role"
    BROKEN_TURN = "broken_turn"
    NO_FOLLOW_UP = "no_follow_up"
    TOXIC = "toxic"
    REDACTED = "redacted"
    # turns
    TOO_LATE = "too_late"
    OFF_TOPIC = "off_topic"
    HOLDS_LINK = "holds_link"
    REPEATED_QUERY = "repeated_query"
    # the judge
    JUDGE_UNPARSEABLE = "judge_unparseable"
    JUDGE_REFUSED = "judge_refused"
    JUDGE_TIMEOUT = "judge_timeout"
    JUDGE_ERROR = "judge_error"
    # feedback
    NEUTRAL = "neutral"
    UNSURE = "unsure"
    OVER_USER_CAP = "over_user_cap"
    OVER_CONVERSATION_CAP = "over_conversation_cap"
    # decontamination
    CONTAMINATED = "contaminated"
    # scores from outside
    UNSCORED = "unscored"
    SCORED_LOWER = "scored_lower"


_WORDS = {
    DropReason.MALFORMED_ROW: "the row is not well-formed",
    DropReason.INVALID_UTF8: "the row's bytes are not UTF-8",
    DropReason.UNKNOWN_ENTITY: "the row uses an entity that XML does not define",
    DropReason.CONTROL_CHARACTER: "the row holds a character that XML forbids",
    DropReason.BAD_ATTRIBUTE: "a required attribute is missing or has the wrong type",
    DropReason.ROW_TOO_LONG: "the row is longer than the source allows",
    DropReason.TRUNCATED: "the file ends inside the row",
    DropReason.NOT_A_POST: "neither question nor reply: a wiki, tag or moderator row, or a system message",
    DropReason.REMOVED: "its author deleted it, or moderators removed it: the text is gone",
    DropReason.NOT_SAMPLED: "the thread or conversation is outside the sample that was asked for",
    DropReason.ORPHAN_COMMENT: "the post it comments on is not in the dump",
    DropReason.DUPLICATE_ID: "another row of the dump has the same id; the newest is kept",
    DropReason.ORPHAN_REPLY: "the question it answers is not in the dump",
    DropReason.BROKEN_CHAIN: "not all posts between it and the question are there, or they form a circle",
    DropReason.EMPTY_BODY: "nothing is left of the body as text",
    DropReason.TOO_FEW_REPLIES: "the thread has fewer than two replies",
    DropReason.ALL_TIED: "no two replies to one post of the thread differ in votes or acceptance",
    DropReason.TOO_SHORT: "it is shorter than the recipe asks",
    DropReason.TOO_LONG: "it is longer than the recipe allows",
    DropReason.OTHER_LANGUAGE: "its language is not among those of the recipe",
    DropReason.LINK_ONLY: "it is a link and no words of its own",
    DropReason.MEDIA_ONLY: "it is an image or a video and no words of its own",
    DropReason.HTML_ONLY: "it is markup and no words of its own",
    DropReason.BOT: "a bot wrote it",
    DropReason.QUOTES_QUESTION: "it mostly repeats the question",
    DropReason.BOILERPLATE: "it is boilerplate that the recipe lists",
    DropReason.NSFW: "it is marked as not safe for work",
    DropReason.SELF_ANSWER: "the asker wrote it",
    DropReason.EDITED_AFTER_VOTES: "it was edited after votes had been cast",
    DropReason.FLAGGED: "it has a flag that the recipe refuses",
    DropReason.LICENSE_REFUSED: "its licence is not among those that the recipe allows",
    DropReason.NOT_A_CANDIDATE: "a comment, or a reply whose score is hidden: kept with its thread, never paired",
    DropReason.OVER_PAIR_CAP: "all pairs with this reply fell beyond the cap per thread",
    DropReason.SAME_THREAD: "the same thread, document or conversation is in another input, and that copy was kept",
    DropReason.EXACT_DUPLICATE: "another thread, document or conversation has the same text, and that one was kept",
    DropReason.NEAR_DUPLICATE: "it nearly repeats a text that was kept, or one of the two holds the other",
    DropReason.UNVERIFIED: "the two texts share a band but are less alike than the threshold",
    DropReason.THREAD_DROPPED: "the thread, document or conversation was dropped as a duplicate",
    DropReason.TIED: "the two replies tie in what the view orders by",
    DropReason.LOW_SCORE: "a reply has fewer votes than the view asks",
    DropReason.LOW_PROMPT_SCORE: "the post has fewer votes than the view asks",
    DropReason.LOW_MARGIN: "the two replies are closer than the view asks",
    DropReason.LOW_RATIO: "the ratio of the two scores is lower than the view asks",
    DropReason.LOW_CONFIDENCE: "the votes are too few to be confident which reply is better",
    DropReason.NOT_LATER: "the better-voted reply came first, and had longer to collect votes",
    DropReason.FAR_APART: "the two replies were written too far apart in time",
    DropReason.OUT_OF_PERIOD: "the post was written outside the period of the view",
    DropReason.EDITED: "the post was edited",
    DropReason.NOT_A_TEXT_POST: "the post only links elsewhere",
    DropReason.BY_MODERATOR: "a moderator wrote the post or a reply",
    DropReason.BY_DELETED_AUTHOR: "the author of the post or of a reply deleted their account",
    DropReason.BY_ASKER: "the asker wrote one of the replies",
    DropReason.NOT_TOP_LEVEL: "the two replies answer another reply, not the post itself",
    DropReason.UNEQUAL_LENGTH: "the lengths of the two replies differ more than the view allows",
    DropReason.NOT_DRAWN: "the view draws another pair of this thread",
    DropReason.OVER_AUTHOR_CAP: "the view takes no more pairs whose chosen reply is by this author",
    DropReason.NEARLY_EQUAL: "the two replies are nearly the same text",
    DropReason.REPEATED_PAIR: "the same pair is there already, from this thread or from a copy of it",
    DropReason.CONTRADICTED: "the same two replies are ordered the other way elsewhere",
    DropReason.LOW_QUALITY: "its quality, by the source or by the recipe's model, is below what the recipe asks",
    DropReason.REPETITIVE: "too much of it repeats itself, or is symbols",
    DropReason.FEW_FORMULAS: "it has fewer formulas than the recipe asks",
    DropReason.OTHER_SITE: "it is from a site that the recipe leaves out",
    DropReason.NO_BLOCK: "no block of the length that was asked for fits into it",
    DropReason.CROWDED: "no window is left that holds nothing of its document, its cluster or its suffix",
    DropReason.UNKNOWN_ROLE: "a message is by neither user nor assistant nor system",
    DropReason.BROKEN_TURN: "nothing is left of it: messages without text, or only one side speaks",
    DropReason.NO_FOLLOW_UP: "no message of the user follows a reply",
    DropReason.TOXIC: "the source marks it as toxic",
    DropReason.REDACTED: "the source replaced personal data in it",
    DropReason.TOO_LATE: "it stands too late in its conversation",
    DropReason.OFF_TOPIC: "its query asks for what a text cannot give: pictures, the web, files, who the model is",
    DropReason.HOLDS_LINK: "its query holds a link",
    DropReason.REPEATED_QUERY: "the follow-up is the query again",
    DropReason.JUDGE_UNPARSEABLE: "the judge's answer was none of those that were offered",
    DropReason.JUDGE_REFUSED: "the judge declined to answer",
    DropReason.JUDGE_TIMEOUT: "the judge did not answer in time",
    DropReason.JUDGE_ERROR: "the judge could not be asked",
    DropReason.NEUTRAL: "the follow-up says nothing of the reply",
    DropReason.UNSURE: "the judge is less sure of the label than the recipe asks",
    DropReason.OVER_USER_CAP: "the recipe takes no more turns of this user",
    DropReason.OVER_CONVERSATION_CAP: "the recipe takes no more turns of this conversation",
    DropReason.CONTAMINATED: "it overlaps with an item of a benchmark",
    DropReason.UNSCORED: "the scorer gave no score",
    DropReason.SCORED_LOWER: "the scorer does not rate the chosen reply above the rejected one by the margin asked",
}

QUARANTINE = frozenset(
    {
        DropReason.MALFORMED_ROW,
        DropReason.INVALID_UTF8,
        DropReason.UNKNOWN_ENTITY,
        DropReason.CONTROL_CHARACTER,
        DropReason.BAD_ATTRIBUTE,
        DropReason.ROW_TOO_LONG,
        DropReason.TRUNCATED,
    }
)
"""Reasons that mean broken input. Their share is held under the recipe's `limits.max_failure_rate`."""


def describe(reason: str) -> str:
    """Say in words what a reason means."""
    return _WORDS[DropReason(reason)]


DROP = pa.schema(
    [
        pa.field("reason", pa.string(), nullable=False),
        pa.field("ref", pa.string()),  # the row's id, where it has one
        pa.field("file", pa.string()),  # where the row was read, for quarantined input
        pa.field("offset", pa.int64()),  # byte offset of the row in that file, uncompressed
        pa.field("detail", pa.string()),  # what exactly was wrong
        pa.field("row", pa.string()),  # the row itself: JSON, or the raw text where it could not be decoded
    ]
)
"""Dropped rows as they are kept. A stage may hand over any columns; those not named here become `row`, as JSON."""
