"""The three inputs: what a source yields. One row a post, a document or a conversation."""

from enum import StrEnum

import pyarrow as pa

UTC_MILLIS = pa.timestamp("ms", tz="UTC")


class Route(StrEnum):
    """Which kind of signal an input leads to."""

    FORUMS = "forums"
    WEB = "web"
    CHATS = "chats"


class Kind(StrEnum):
    """What a post is in its thread."""

    QUESTION = "question"
    ANSWER = "answer"
    COMMENT = "comment"


class Markup(StrEnum):
    """In which markup a post's body is written. Threads render all of them to Markdown."""

    HTML = "html"
    MARKDOWN = "markdown"
    PLAIN = "plain"


class Flag(StrEnum):
    """What is unusual about a post. A recipe may refuse flagged posts; a source only reports."""

    WIKI = "wiki"
    LOCKED = "locked"
    CLOSED = "closed"
    MIGRATED = "migrated"
    DELETED_AUTHOR = "deleted_author"
    LINK = "link"  # a question that only links elsewhere
    NSFW = "nsfw"
    PINNED = "pinned"
    MODERATOR = "moderator"  # speaks as moderator or staff
    BOT = "bot"  # declared as one by the source
    REMOVED = "removed"  # this copy says that the text is gone: of several copies the newest decides
    SCORE_HIDDEN = "score_hidden"  # the score is not the votes': never paired


POST = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("community", pa.string(), nullable=False),
        pa.field("thread_id", pa.string()),  # null until a join finds it (a comment knows its post, not its thread)
        pa.field("post_id", pa.string(), nullable=False),  # unique within the community
        pa.field("parent_id", pa.string()),
        pa.field("kind", pa.string(), nullable=False),  # a Kind
        pa.field("title", pa.string()),
        pa.field("body", pa.string(), nullable=False),
        pa.field("markup", pa.string(), nullable=False),  # a Markup
        pa.field("score", pa.int64(), nullable=False),  # net votes
        pa.field("upvotes", pa.int64()),
        pa.field("downvotes", pa.int64()),
        pa.field("vote_days", pa.list_(pa.int32())),  # of each vote its day after 1970, negated for one against
        pa.field("views", pa.int64()),
        pa.field("accepted", pa.bool_()),  # of a reply; null: the question names it in accepted_post_id
        pa.field("accepted_post_id", pa.string()),  # of a question
        pa.field("accepted_at", UTC_MILLIS),
        pa.field("created_at", UTC_MILLIS),
        pa.field("edited_at", UTC_MILLIS),
        pa.field("retrieved_at", UTC_MILLIS),  # when this copy was fetched, with the score of that moment
        pa.field("author", pa.string()),  # salted hash
        pa.field("author_name", pa.string()),  # only where the licence demands attribution
        pa.field("author_is_asker", pa.bool_()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("url", pa.string()),
        pa.field("license", pa.string()),  # SPDX id
        pa.field("flags", pa.list_(pa.string())),  # Flags
    ]
)

DOCUMENT = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("text", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("quality", pa.float64()),
        pa.field("token_count", pa.int64()),
        pa.field("crawled_at", UTC_MILLIS),
        pa.field("license", pa.string()),
        pa.field("metadata", pa.string()),  # JSON
    ]
)

MESSAGE = pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())])
"""One turn, in the field's standard columns (TRL, OpenAI)."""

CONVERSATION = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("conversation_id", pa.string(), nullable=False),  # unique within the source: no hash of the content
        pa.field("part", pa.int32(), nullable=False),  # number of the first message here; a conversation may have parts
        pa.field("user", pa.string()),  # salted hash
        pa.field("model", pa.string()),
        pa.field("created_at", UTC_MILLIS),
        pa.field("language", pa.string()),  # as the source says
        pa.field("country", pa.string()),
        pa.field("toxic", pa.bool_()),
        pa.field("redacted", pa.bool_()),
        pa.field("license", pa.string()),
        pa.field(
            "messages",
            pa.list_(
                pa.struct(
                    [
                        pa.field("turn_id", pa.string()),
                        pa.field("role", pa.string()),  # as the source says: user, human, gpt, ...
                        pa.field("content", pa.string()),
                        pa.field("created_at", UTC_MILLIS),
                        pa.field("toxic", pa.bool_()),
                        pa.field("redacted", pa.bool_()),
                    ]
                )
            ),
            nullable=False,
        ),
    ]
)
