"""A new source's files are written once, under names that can be, and clean."""

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli import main
from flows.skeleton import SKELETONS, write_source
from schemas.errors import FatalError, RecipeError


@pytest.fixture
def checkout(tmp_path):
    for route in SKELETONS:
        (tmp_path / "miners" / route).mkdir(parents=True)
    return tmp_path


def names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


@pytest.mark.parametrize("route", SKELETONS)
def test_in_a_checkout_a_module_and_its_test_are_written(checkout, route):
    written = write_source("kitchen", checkout, package=False, route=route)
    assert names(written, checkout) == [f"miners/{route}/kitchen.py", f"tests/miners/{route}/test_kitchen.py"]
    assert f"from miners.{route}.kitchen import SOURCE" in written[1].read_text()


@pytest.mark.parametrize("package", [True, False])
def test_elsewhere_or_when_asked_a_package_is_written(tmp_path, checkout, package):
    folder = checkout if package else tmp_path / "elsewhere"
    write_source("kitchen", folder, package=package)
    project = tomllib.loads((folder / "revealed-kitchen" / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["revealed.sources"] == {"kitchen": "revealed_kitchen:SOURCE"}
    assert (folder / "revealed-kitchen" / "revealed_kitchen.py").exists()


@pytest.mark.parametrize(
    "name", ["", "x", "Kitchen", "my-forum", "1st", "_hidden", "class", "küche", "../up", "a" * 41]
)
def test_a_name_that_cannot_be_is_refused(checkout, name):
    with pytest.raises(RecipeError, match="expected 2 to 40 small letters"):
        write_source(name, checkout, package=False)
    assert list((checkout / "miners" / "forums").iterdir()) == []


def test_a_sources_name_is_taken(checkout):
    with pytest.raises(RecipeError, match="`stackexchange` exists already"):
        write_source("stackexchange", checkout, package=False)


@pytest.mark.parametrize(
    "taken", ["miners/forums/kitchen.py", "miners/forums/kitchen/rows.py", "tests/miners/forums/test_kitchen.py"]
)
def test_nothing_is_overwritten(checkout, taken):
    (checkout / taken).parent.mkdir(parents=True, exist_ok=True)
    (checkout / taken).write_text("mine")
    with pytest.raises(FatalError, match="exists already"):
        write_source("kitchen", checkout, package=False)
    assert [path.read_text() for path in checkout.rglob("*.py")] == ["mine"]


def test_the_commands_answer_with_files_and_exit_codes(checkout):
    runner = CliRunner()
    done = runner.invoke(main, ["source", "new", "kitchen", "--folder", str(checkout)])
    assert (done.exit_code, "next: fit it to the data" in done.output) == (0, True)
    assert runner.invoke(main, ["source", "new", "kitchen", "--folder", str(checkout)]).exit_code == 2
    done = runner.invoke(main, ["source", "sample", "stackexchange", str(checkout / "dump"), "--threads", "3"])
    assert (Path(done.output.strip()) / "Posts.xml").exists()
    assert runner.invoke(main, ["source", "sample", "stackexchange", str(checkout / "dump")]).exit_code == 2
    done = runner.invoke(main, ["source", "check", "stackexchang"])
    assert (done.exit_code, "did you mean `stackexchange`?" in done.output) == (2, True)
    missing = runner.invoke(main, ["source", "check", "stackexchange", "--input", str(checkout / "nowhere")])
    assert (missing.exit_code, "there is no such file" in missing.output) == (2, True)
