"""Chats as a test writes them: what was said in turn, the user first."""

import pyarrow as pa
import pytest

from miners.chats.mining.turns import find_turns
from schemas.judging import VERDICT
from schemas.mining import CHAT


def _message(place, said):
    role, content = said if isinstance(said, tuple) else ("assistant" if place % 2 else "user", said)
    return {"turn_id": f"t{place}", "role": role, "content": content}


class Chats:
    """chat(...) gives a row, table(rows) a CHAT, turns(chats) its turns, verdicts(turns, labels) their VERDICTs."""

    @staticmethod
    def chat(conversation_id, *said, **values):
        row = {
            "source": "test",
            "conversation_id": conversation_id,
            "group_id": f"test/{conversation_id}",
            "messages": [_message(place, one) for place, one in enumerate(said)],
            "repairs": [],
            "pii": 0,
        }
        return row | values

    @staticmethod
    def table(*rows):
        return pa.Table.from_pylist(list(rows), schema=CHAT)

    @staticmethod
    def turns(chats):
        return find_turns(chats).kept

    @staticmethod
    def verdicts(turns, labels, **values):
        """Give each turn its label, in order: a number is one, a text the state of a failure, None no verdict."""
        rows = [
            {
                "uid": uid,
                "state": label if isinstance(label, str) else "ok",
                "label": None if isinstance(label, str) else label,
                "agreement": None if isinstance(label, str) else 1.0,
                "judge": "j",
                "judge_model": "m",
                "rubric": "wildreward/1",
            }
            | values
            for uid, label in zip(turns["uid"].to_pylist(), labels, strict=True)
            if label is not None
        ]
        return pa.Table.from_pylist(rows, schema=VERDICT)


@pytest.fixture(scope="session")  # hypothesis asks for one that lasts
def chats():
    return Chats
