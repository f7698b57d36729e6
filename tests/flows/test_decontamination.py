"""The index of benchmarks is made again when anything of it changes, how its items are called included."""

from pathlib import Path

from flows.decontamination import index_benchmarks
from flows.engine import Engine, run_directly
from flows.executors import SerialExecutor
from flows.plan import Plan
from schemas.recipe import Recipe
from warehouse.root import Root


def index(folder: Path, root: Path, path: str) -> str:
    """Index a custom benchmark; answers the fingerprint."""
    benchmark = {"preset": "custom", "path": path, "columns": ["question"]}
    recipe = {"name": "x", "inputs": [{"source": "pages", "path": "."}], "decontaminate": {"benchmarks": [benchmark]}}
    plan = Plan(Recipe.model_validate(recipe), Root(str(root)), Engine(SerialExecutor(), run_directly), folder=folder)
    [part] = index_benchmarks(plan)
    return part.fingerprint


def write(*files: Path) -> None:
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'{{"question": "How many sheep are left in field {number}?"}}')


def test_a_benchmark_is_indexed_again_where_its_items_are_called_otherwise(tmp_path: Path) -> None:
    write(tmp_path / "one" / "quiz" / "easy" / "a.jsonl", tmp_path / "one" / "quiz" / "hard" / "b.jsonl")
    write(tmp_path / "two" / "quiz" / "easy" / "a.jsonl", tmp_path / "two" / "quiz" / "hard" / "b.jsonl")
    write(tmp_path / "two" / "exam" / "easy" / "a.jsonl", tmp_path / "two" / "exam" / "hard" / "b.jsonl")
    write(tmp_path / "three" / "quiz" / "easy" / "a.jsonl", tmp_path / "three" / "quiz" / "odd" / "b.jsonl")
    places = (("one", "quiz"), ("two", "quiz"), ("two", "exam"), ("three", "quiz"))
    first, moved, renamed, relabelled = (index(tmp_path / folder, tmp_path / "root", path) for folder, path in places)
    assert first == moved
    assert len({first, renamed, relabelled}) == 3
