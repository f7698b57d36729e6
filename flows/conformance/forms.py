"""Forms: what a row of the main table is, by route."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from schemas.inputs import CONVERSATION, DOCUMENT, POST, UTC_MILLIS, Route


@dataclass(frozen=True, slots=True)
class Form:
    """What a row is.

    noun: what rows are called. schema: their columns. keys: the columns that name a row; the last one is its id.
    time: when it came about. person: who wrote it, as a salted hash; None where nobody is named.
    """

    noun: str
    schema: pa.Schema
    keys: tuple[str, ...]
    time: str
    person: str | None = None

    @property
    def times(self) -> tuple[str, ...]:
        """All columns of times."""
        return tuple(field.name for field in self.schema if field.type == UTC_MILLIS)


FORMS: Mapping[Route, Form] = {
    Route.FORUMS: Form("posts", POST, ("community", "post_id"), "created_at", "author"),
    Route.WEB: Form("documents", DOCUMENT, ("doc_id",), "crawled_at"),
    Route.CHATS: Form("conversations", CONVERSATION, ("part", "conversation_id"), "created_at", "user"),
}

KEYS = tuple(dict.fromkeys(key for form in FORMS.values() for key in form.keys))
"""The columns that name a row of any form."""
