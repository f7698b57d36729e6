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
    NOT_SAMPLED = "not_sampled"
    # joins
    ORPHAN_COMMENT = "orphan_comment"
    # threads
    DUPLICATE_ID = "duplicate_id"
    ORPHAN_REPLY = "orphan_reply"
    EMPTY_BODY = "empty_body"
    TOO_FEW_REPLIES = "too_few_replies"
    ALL_TIED = "all_tied"
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
    NOT_DRAWN = "not_drawn"


_WORDS = {
    DropReason.MALFORMED_ROW: "the row is not well-formed",
    DropReason.INVALID_UTF8: "the row's bytes are not UTF-8",
    DropReason.UNKNOWN_ENTITY: "the row uses an entity that XML does not define",
    DropReason.CONTROL_CHARACTER: "the row holds a character that XML forbids",
    DropReason.BAD_ATTRIBUTE: "a required attribute is missing or has the wrong type",
    DropReason.ROW_TOO_LONG: "the row is longer than the source allows",
    DropReason.TRUNCATED: "the file ends inside the row",
    DropReason.NOT_A_POST: "a wiki, tag or moderator row, neither question nor answer",
    DropReason.NOT_SAMPLED: "the thread is outside the sample that was asked for",
    DropReason.ORPHAN_COMMENT: "the post it comments on is not in the dump",
    DropReason.DUPLICATE_ID: "another row of the dump has the same id; the newest is kept",
    DropReason.ORPHAN_REPLY: "the question it answers is not in the dump",
    DropReason.EMPTY_BODY: "nothing is left of the body as text",
    DropReason.TOO_FEW_REPLIES: "the thread has fewer than two replies",
    DropReason.ALL_TIED: "all replies of the thread have the same score",
    DropReason.NOT_A_CANDIDATE: "a comment: kept with its thread, never paired",
    DropReason.OVER_PAIR_CAP: "all pairs with this reply fell beyond the cap per thread",
    DropReason.SAME_THREAD: "the same thread is in another input, and that copy was kept",
    DropReason.EXACT_DUPLICATE: "another thread has the same text, and that one was kept",
    DropReason.NEAR_DUPLICATE: "another thread has nearly the same text, and that one was kept",
    DropReason.UNVERIFIED: "the two texts share a band but are less alike than the threshold",
    DropReason.THREAD_DROPPED: "the thread was dropped as a duplicate",
    DropReason.NOT_DRAWN: "the view draws another pair of this thread",
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
