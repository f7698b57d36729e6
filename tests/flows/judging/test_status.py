"""`revealed judge status`: what the ledger holds, and what it cost."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from click.testing import CliRunner, Result

from flows.cli import main
from flows.judging.status import Prices, describe_ledger, tell_age
from schemas.chat_sections import Judge
from schemas.judging import ANSWER, State
from warehouse.ledger import open_ledger
from warehouse.root import open_root

BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
WIDE = {"COLUMNS": "200"}


def revealed(*arguments: str | Path) -> Result:
    return CliRunner(env=WIDE).invoke(main, [str(argument) for argument in arguments])


def row(number: int, model: str, state: State, detail: str | None = None) -> dict[str, object]:
    return {
        "key": f"{model} {number}",
        "judge": "0123456789abcdef",
        "rubric": "wildreward@2",
        "model": model,
        "state": state,
        "answer": "4" if state == State.OK else None,
        "probs": None,
        "prompt_tokens": 1_000,
        "completion_tokens": 10,
        "seconds": 0.5,
        "tries": 2,
        "detail": detail,
        "answered_at": BEGIN + timedelta(hours=number),
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """30 answers of a large model, 3 of them failures, and one of a small one."""
    rows = [row(number, "large", State.OK) for number in range(27)]
    rows += [row(27, "large", State.TIMEOUT, "no answer within 120 s")]
    rows += [row(number, "large", State.ERROR, f"status 500 (\x1b[31mrequest {number} broke)") for number in (28, 29)]
    rows += [row(0, "small", State.OK)]
    with open_ledger(open_root(str(tmp_path / "root"))).writer() as writer:
        writer.append(pa.Table.from_pylist(rows, ANSWER))
    return tmp_path / "root"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    judge = {"kind": "server", "model": "large", "urls": ["http://127.0.0.1:8000/v1"], "prompt_price": 0.5}
    path = tmp_path / "recipe.yaml"
    inputs = [{"source": "wildchat", "path": "chats"}]
    path.write_text(yaml.safe_dump({"name": "priced", "inputs": inputs, "judge": judge | {"completion_price": 2}}))
    return path


def test_the_numbers_are_those_of_the_ledger(root: Path, recipe: Path) -> None:
    shown = json.loads(revealed("judge", "status", "--root", root, "--recipe", recipe, "--json").stdout)
    states = {(one["model"], one["state"]): one for one in shown["states"]}
    assert {kind: one["answers"] for kind, one in states.items()} == {
        ("large", "ok"): 27,
        ("large", "timeout"): 1,
        ("large", "error"): 2,
        ("small", "ok"): 1,
    }
    ok = states["large", "ok"]
    assert (ok["share"], ok["questions"], ok["tries"]) == (0.9, 27, 54)
    assert (ok["prompt_tokens"], ok["completion_tokens"], ok["seconds"]) == (27_000, 270, 13.5)
    assert datetime.fromisoformat(ok["first"]) == BEGIN
    assert datetime.fromisoformat(ok["last"]) == BEGIN + timedelta(hours=26)
    assert ok["cost"] == pytest.approx(27_000 * 0.5e-6 + 270 * 2e-6)
    assert states["small", "ok"]["cost"] is None
    assert [(one["answers"], one["state"]) for one in shown["failures"]] == [(2, "error"), (1, "timeout")]


def test_a_person_sees_states_sums_and_what_went_wrong(root: Path, recipe: Path) -> None:
    shown = revealed("judge", "status", "--root", root, "--recipe", recipe)
    assert shown.exit_code == 0
    assert "31 answers, 31,310 tokens, cost 0.02" in shown.stdout
    assert "90.0%" in shown.stdout
    assert "2026-01-01 12:00 to 2026-01-02 17:00 UTC" in shown.stdout
    assert "request 28 broke" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_without_prices_there_is_no_cost(root: Path) -> None:
    assert "cost 0" not in revealed("judge", "status", "--root", root).stdout
    assert describe_ledger(open_ledger(open_root(str(root)))).cost is None
    assert Prices.of(Judge()) is None


def test_looking_changes_nothing(root: Path) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    revealed("judge", "status", "--root", root)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_an_empty_ledger_says_so(tmp_path: Path) -> None:
    shown = revealed("judge", "status", "--root", tmp_path / "none")
    assert "no judge was asked yet" in shown.stdout
    assert json.loads(revealed("judge", "status", "--root", tmp_path / "none", "--json").stdout)["states"] == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7_300, "2 h"), (259_200, "3 d")]
)
def test_an_age_is_told_in_its_largest_unit(seconds: int, told: str) -> None:
    assert tell_age(BEGIN, BEGIN + timedelta(seconds=seconds)) == told
