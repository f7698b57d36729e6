"""Posts as a test writes them: only what matters is said."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from schemas.inputs import POST

START = datetime(2020, 1, 1, tzinfo=UTC)


def _post(post_id, kind, thread="1", *, community="c.example", hours=0, **values):
    row = {
        "source": "test",
        "community": community,
        "thread_id": thread,
        "post_id": post_id,
        "parent_id": None if kind == "question" else thread,
        "kind": kind,
        "title": f"Title {post_id}" if kind == "question" else None,
        "body": f"Body of {post_id}.",
        "markup": "markdown",
        "score": 0,
        "created_at": START + timedelta(hours=hours),
        "author": f"author {post_id}",
        "url": f"https://{community}/{post_id}",
        "license": "CC-BY-SA-4.0",
        "tags": [],
        "flags": [],
    }
    return row | values


class Posts:
    """question(...) and answer(...) give rows; table(rows) makes them Arrow."""

    @staticmethod
    def question(post_id="1", **values):
        return _post(post_id, "question", values.pop("thread", post_id), **values)

    @staticmethod
    def answer(post_id, score=0, thread="1", **values):
        return _post(post_id, "answer", thread, score=score, **values)

    @staticmethod
    def comment(post_id, thread="1", **values):
        return _post(post_id, "comment", thread, **values)

    @staticmethod
    def table(*rows):
        return pa.Table.from_pylist(list(rows), schema=POST)


@pytest.fixture
def posts():
    return Posts
