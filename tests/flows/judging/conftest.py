"""A warehouse in which a judge of known faults has answered: chats, turns, questions, verdicts, ledger, releases."""

from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pytest

from miners.chats.mining.questions import decide_verdicts, judge_fingerprint, write_questions
from miners.chats.mining.rubrics import find_rubric
from miners.chats.mining.turns import find_turns
from miners.dialogues import FollowUp, write_dialogues
from schemas.chat_sections import Judge
from schemas.identity import below_share, hash64
from schemas.judging import ANSWER
from schemas.manifest import Latest, ReleaseManifest, Snapshot
from schemas.mining import CHAT
from schemas.outcome import NOTHING_DROPPED, Outcome
from warehouse.ledger import open_ledger
from warehouse.partitions import PLAIN, write_partition
from warehouse.root import Root

WILDREWARD = find_rubric("wildreward")
NOISE = 0.1
"""Share of the turns about which the teacher says something else than is true."""


def make_chat(dialogue):
    messages = [message for message in dialogue.messages if message.role != "system"]
    said = [{"role": message.role, "content": message.text, "created_at": message.at} for message in messages]
    row = {"source": "test", "conversation_id": dialogue.key, "group_id": f"test/{dialogue.key}"}
    return row | {"user": dialogue.user, "messages": said, "repairs": [], "pii": 0}


class JudgedWarehouse:
    """root; turns: `uid, group_id, turn, conversation_id, truth, taught`; release(...) writes one more build."""

    def __init__(self, folder, dialogues):
        self.root = Root(str(folder))
        made = list(write_dialogues(dialogues))
        truth = {
            (f"test/{one.key}", turn): list(FollowUp).index(kind) + 1
            for one in made
            for turn, kind in enumerate(one.follow_ups)
        }
        self.chats = pa.Table.from_pylist([make_chat(one) for one in made], schema=CHAT)
        self.table = find_turns(self.chats).kept
        frame = pl.DataFrame(self.table)
        true = [truth[place] for place in zip(frame["group_id"], frame["turn"], strict=True)]
        wrong = below_share(hash64(pl.lit("noise"), "uid"), NOISE)
        self.turns = frame.with_columns(truth=pl.Series(true)).with_columns(
            conversation_id=pl.col("group_id").str.strip_prefix("test/"),
            taught=pl.when(wrong).then(pl.col("truth") % 5 + 1).otherwise("truth"),
        )

    def release(self, name="feedback", model="teacher", labels=None, probs=None, failed=(), rubric=WILDREWARD, **asked):
        """Let a judge answer: labels by turn (default: what the teacher says); `failed` are uids that time out.

        probs: by turn; None of a turn, or altogether, where the judge gives none.
        """
        judge = Judge(kind="offline", model=model, **asked)
        turns = self.table if labels is None else self.table.slice(0, len(labels))
        questions = write_questions(self.chats, turns, rubric, judge).kept
        said = self.turns["taught"].to_list() if labels is None else labels
        print_ = judge_fingerprint(rubric, judge)
        rows = [
            {
                "key": key,
                "judge": print_,
                "rubric": rubric.id,
                "model": model,
                "state": "timeout" if uid in failed else "ok",
                "answer": None if uid in failed else str(label),
                "probs": None if probs is None or uid in failed else probs[at],
                "seconds": 0.1,
                "tries": 1,
                "answered_at": datetime(2026, 1, 1, tzinfo=UTC),
            }
            for at, (key, uid, label) in enumerate(
                zip(questions["key"].to_pylist(), turns["uid"].to_pylist(), said, strict=True)
            )
        ]
        first = (
            pl.DataFrame(pa.Table.from_pylist(rows, schema=ANSWER)).unique("key", keep="first").to_arrow().cast(ANSWER)
        )
        with open_ledger(self.root).writer() as writer:
            writer.append(first)
        tables = {
            "chats": self.chats,
            "fit": turns,
            "questions": questions,
            "verdicts": decide_verdicts(questions, first, rubric),
        }
        print_ = f"{name}{model}{rubric.version}"
        return self._publish(name, {stage: self._write(stage, table, print_) for stage, table in tables.items()})

    def _write(self, stage, table, print_):
        """Two partitions, cut between conversations."""
        groups = {"chats": "group_id"}.get(stage)
        ids = table[groups].to_pylist() if groups else self._groups_of(table)
        half = self.chats["group_id"].to_pylist()[: self.chats.num_rows // 2]
        first = pl.Series(ids).is_in(half)
        parts = [table.filter(first.to_arrow()), table.filter((~first).to_arrow())]
        names = [f"{number}{print_}{stage}" for number in "ab"]
        for part, name in zip(parts, names, strict=True):
            write_partition(self.root, stage, name, [Outcome(part, NOTHING_DROPPED, part.num_rows)], PLAIN, 0)
        return tuple(names)

    def _groups_of(self, table):
        return pl.DataFrame(table.select(["uid"])).join(self.turns, on="uid", how="left", maintain_order="left")[
            "group_id"
        ]

    def _publish(self, name, made):
        build = "".join(made["verdicts"])[-12:]
        empty = {"recipe": {}, "code_version": "0"}
        snapshot = Snapshot(
            name=name, build=build, partitions={stage: {"in": own} for stage, own in made.items()}, **empty
        )
        nothing = {name: {} for name in ("columns_hash", "splits", "licenses", "communities")}
        lists = dict.fromkeys(("shards", "funnel", "catch_curve"), ())
        manifest = ReleaseManifest(name=name, build=build, route="chats", **empty, **nothing, **lists)
        self.root.write_record(f"snapshots/{name}/{build}.json", snapshot)
        self.root.write_record(f"releases/{name}/{build}/manifest.json", manifest)
        self.root.write_record(f"releases/{name}/latest.json", Latest(name=name, build=build, manifest_sha256="0"))
        return manifest


@pytest.fixture(scope="session")
def judged_warehouse(tmp_path_factory):
    """judged_warehouse(dialogues) makes one."""
    return lambda dialogues: JudgedWarehouse(tmp_path_factory.mktemp("warehouse"), dialogues)
