"""The README's commands and code are run as they stand."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
import yaml

from flows.cli import main
from flows.samples import DumpPlan, write_dump
from miners.forums.mining.views import find_view
from miners.registry import find_source
from miners.web.mining.cuts import check_blocks
from schemas.recipe import Recipe, check, read_recipe
from warehouse.decontamination.benchmarks import find_preset
from warehouse.publication import find_release
from warehouse.root import Root

TOP = Path(__file__).parents[1]
README = (TOP / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def revealed(arguments, folder):
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def first_uid(warehouse):
    manifest = find_release(Root(str(warehouse)), "my-forums")
    shard = warehouse / "releases" / manifest.name / manifest.build / manifest.shards[0].path
    return pq.read_table(shard, columns=["uid"])["uid"][0].as_py()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which the README's recipes have their dumps, corpora and benchmarks."""
    folder = tmp_path_factory.mktemp("readme")
    for block in blocks("yaml"):
        (folder / block.removeprefix("# ").splitlines()[0]).write_text(block)
    write_dump(folder / "dumps" / "stackexchange" / "garden.example.com", DumpPlan(threads=600))
    find_source("reddit").sample(folder / "dumps" / "reddit", 60)
    corpus, benchmarks = folder / "corpora" / "finemath-4plus", folder / "benchmarks"
    for path in (corpus, benchmarks):
        path.mkdir(parents=True)
    find_source("finemath").sample(corpus, 200)
    chats = folder / "corpora" / "WildChat-1M"
    chats.mkdir()
    find_source("wildchat").sample(chats, 200)
    item = {"question": "How many of the nine apples are left to Ada after tea?", "answer": "Four. #### 4"}
    (benchmarks / "gsm8k_test.jsonl").write_text(json.dumps(item))
    (folder / "gold.csv").write_text("conversation_id,turn,label\nnobody,0,3\n")
    return folder


def test_the_two_commands_stand_in_the_readme():
    assert "pip install uv && uv run revealed demo\n" in README
    assert "pip install uv && uv run pytest\n" in README


def test_the_commands_run_as_they_stand(place):
    commands = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("uv run revealed")]
    assert len(commands) == 16
    for command in commands:
        arguments = shlex.split(command, comments=True)[3:]
        if arguments[0] == "schedule":  # needs a server: tests/flows/test_deployments.py runs it
            arguments = ["schedule", "--help"]
        if arguments[0] == "judge" and arguments[1] in ("serve", "compare", "distill"):
            # they need vLLM, and answers: tests/flows/judging
            arguments.append("--help")
        if "UID" in arguments:
            arguments[arguments.index("UID")] = first_uid(place / "warehouse")
        done = revealed(arguments, place)
        assert done.returncode == 0, (command, done.stderr)


def test_the_recipes_are_built_by_the_commands():
    written = [block.removeprefix("# ").splitlines()[0] for block in blocks("yaml")]
    built = [f" build {name} --root" in README for name in written]
    assert (written, built) == (["recipe.yaml", "math.yaml", "chats.yaml"], [True] * 3)


def test_every_command_that_is_named_in_the_text_is_one():
    named = re.findall(r"`revealed ([^`]+)`", README)
    expected = {"source new NAME", "audit continuity RELEASE", "quality train RECIPE", "judge train FOLDER"}
    assert expected <= set(named)
    for command in named:
        found, words = main, shlex.split(command)
        while isinstance(found, click.Group):
            found = found.commands[words.pop(0)]
        known = {option for parameter in found.params for option in parameter.opts}
        assert known.issuperset(word for word in words if word.startswith("-")), command


def test_lines_of_the_readme_fit():
    assert [line for line in README.splitlines() if len(line) > 120] == []


def test_the_code_runs_as_it_stands(place):
    code = "\n".join(blocks("python"))
    for recipe, name in (("recipe.yaml", "my-forums"), ("math.yaml", "math"), ("chats.yaml", "chats")):
        assert revealed(["build", recipe, "--root", "warehouse"], place).returncode == 0
        build = find_release(Root(str(place / "warehouse")), name).build
        code = code.replace(f"/{name}/BUILD", f"/{name}/{build}")
    code += "\nassert {'chosen', 'rejected'} == set(train.column_names) < set(pairs.column_names)\n"
    code += "assert len(windows[0]['prefix']) == 32\n"
    code += "assert {'text', 'ordinal_targets'} <= set(rated.column_names)\n"
    code += "assert {'conversation_id', 'turn', 'label'} < set(pl.read_csv('gold.csv').columns)\n"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        env={"HF_HOME": str(place / "hub"), "HF_HUB_OFFLINE": "1", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr


def test_the_demo_runs(tmp_path):
    done = revealed(["demo", "--threads", "200", "--root", str(tmp_path)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "load_dataset(" in done.stdout


@pytest.mark.parametrize("path", sorted((TOP / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_example_recipes_are_recipes(path):
    recipe = read_recipe(path)
    find_view(recipe.view, recipe.custom)
    for entry in recipe.inputs:
        check(find_source(entry.source).options, entry.options, path.name)
    check_blocks(recipe.blocks, has_ids=recipe.blocks.tokenizer is not None)
    for benchmark in recipe.decontaminate.benchmarks:
        find_preset(benchmark)


def test_the_first_example_recipe_shows_the_defaults():
    path = TOP / "recipes" / "stackexchange.yaml"
    shortest = {key: value for key, value in yaml.safe_load(path.read_text()).items() if key in {"name", "inputs"}}
    assert read_recipe(path) == Recipe.model_validate(shortest)


def test_help_is_quick_because_heavy_imports_are_lazy():
    heavy = {"polars", "pyarrow", "numba", "prefect", "distributed"}
    code = f"import sys, flows.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_file_names_a_package_index():
    listed = subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True, check=True).stdout.split()
    assert "uv.lock" not in listed
    for name in ("pyproject.toml", "constraints.txt", "docker-compose.yml"):
        assert "index-url" not in (TOP / name).read_text(), name
        assert "/simple" not in (TOP / name).read_text(), name
