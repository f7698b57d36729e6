"""What a fingerprint names is what a verdict is made of, or none is made."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from flows.judging.asking import digest_answers
from flows.stages.verdicts import decide, judge, judge_where_sure
from flows.work import Inputs, Stage, Work
from miners.chats.embedded.model import open_model
from schemas.errors import FatalError, TransientError
from schemas.judging import ANSWER, QUESTION
from schemas.outcome import NOTHING_DROPPED, Outcome
from warehouse.ledger import open_ledger
from warehouse.partitions import PLAIN, write_partition
from warehouse.root import Root


def answer(ledger, key, state):
    row = {"key": key, "judge": "j", "rubric": "wildreward@2", "model": "m", "state": state, "seconds": 0.1, "tries": 1}
    row |= {"answer": "4" if state == "ok" else None, "answered_at": datetime.now(UTC)}
    with ledger.writer() as writer:
        writer.append(pa.Table.from_pylist([row], schema=ANSWER))


def test_verdicts_are_made_of_the_answers_that_were_named_or_not_at_all(tmp_path):
    root = Root(str(tmp_path))
    ledger = open_ledger(root)
    questions = [{"key": key, "uid": f"turn {key}", "vote": 0, "text": ""} for key in "ab"]
    outcome = Outcome(pa.Table.from_pylist(questions, schema=QUESTION), NOTHING_DROPPED, 2)
    part = write_partition(root, "questions", "0" * 32, [outcome], PLAIN, 0)
    answer(ledger, "a", "ok")
    answer(ledger, "b", "timeout")
    given = {"rubric": "wildreward", "answers": digest_answers(ledger, pa.array(["a", "b"]))}
    inputs = Inputs(root, Work(root.url, Stage("verdicts", ""), given, {"questions": (part,)}))
    [made] = decide(inputs, given)
    assert made.kept["state"].to_pylist() == ["ok", "timeout"]
    answer(ledger, "b", "ok")  # as another build has it asked meanwhile
    with pytest.raises(TransientError, match=r"answers changed.*build again"):
        list(decide(inputs, given))


@pytest.mark.parametrize(("stage", "name"), [(judge, "judge"), (judge_where_sure, "student")])
def test_a_model_that_changes_while_a_build_lasts_judges_nothing(stage, name, tmp_path):
    planned = open_model().manifest.model_dump(mode="json") | {"sha256": "0" * 64}
    given = {name: planned, "min_confidence": 0.9}
    inputs = Inputs(Root(str(tmp_path)), Work(str(tmp_path), Stage(name, ""), given))
    with pytest.raises(FatalError, match="another model than when the build began"):
        list(stage(inputs, given))
