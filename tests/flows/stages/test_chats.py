"""Stages of the chats route, by what they give to others."""

import pyarrow as pa
import pytest

from flows.stages.chats import list_openings, place_rows
from miners.chats.mining.feedback import UNSPLIT
from schemas.mining import CHAT


class Given:
    """A bucket of conversations, as a stage is given one."""

    def __init__(self, *chats: list[str]) -> None:
        rows = [
            {"group_id": f"s/{at}", "messages": [{"role": "user", "content": text} for text in said]}
            for at, said in enumerate(chats)
        ]
        names = ["group_id", "messages"]
        made = pa.Table.from_pylist(rows, pa.schema([CHAT.field(name) for name in names]))
        empty = {name: pa.nulls(made.num_rows, CHAT.field(name).type) for name in ("created_at", "license")}
        self.chats = made.append_column("created_at", empty["created_at"]).append_column("license", empty["license"])

    def table(self, _name: str, columns: list[str]) -> pa.Table:
        """Give the columns."""
        return self.chats.select(columns)


LONG = "word " * 80


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["hi", "Hello! How can I help?", LONG, "reply", "more"], ["hi", "Hello! How can I help?", LONG]),
        ([LONG, "reply", "more"], [LONG, "reply"]),
        (["q", LONG, "more"], ["q", LONG]),
        (["hi", "hello"], ["hi", "hello"]),
        (["hi", "hello", "a", "b", "c"], ["hi", "hello", "a", "b", "c"]),
    ],
)
def test_a_short_opening_goes_on_until_it_tells_conversations_apart(said, expected):
    groups = list_openings(Given(said, ["other", "chat"]), {"entry": "e"})
    assert groups["text"].to_pylist() == ["\n\n".join(expected), "other\n\nchat"]


class Rows:
    """Feedback of conversations without users, a row each."""

    def __init__(self, *clusters: str) -> None:
        known = {"uid": [f"{at:032x}" for at in range(len(clusters))], "cluster_id": list(clusters)}
        columns = [
            pa.array(known[field.name], field.type) if field.name in known else _fill(field, len(clusters))
            for field in UNSPLIT
        ]
        self.rows = pa.table(columns, schema=UNSPLIT)

    def table(self, _name: str) -> pa.Table:
        """Give them."""
        return self.rows


def _fill(field: pa.Field, count: int) -> pa.Array:
    """Give null, or where none may be a value."""
    if field.nullable:
        return pa.nulls(count, field.type)
    plain = [] if pa.types.is_list(field.type) else "" if pa.types.is_string(field.type) else 0
    return pa.array([plain] * count, field.type)


def test_pieces_of_one_conversation_stand_in_one_split():
    """A part is missing between `a` and `a#2`; an id that looks like it has a number of its own behind it."""
    names = [f"s/{at}" for at in range(40)]
    given = {"splits": {"train": 0.5, "test": 0.5}, "seed": 0, "places": 4}
    [placed] = place_rows(Rows(*names, *(f"{name}#2" for name in names)), given)
    rows = placed.kept.select(["cluster_id", "split"]).to_pylist()
    split = {row["cluster_id"]: row["split"] for row in rows}
    assert set(split.values()) == {"train", "test"}
    assert all(split[name] == split[f"{name}#2"] for name in names)
