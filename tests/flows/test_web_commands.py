"""The command line on a warehouse with a forum and a corpus: what it shows of a release of continuations."""

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from flows.cli import main
from flows.samples import DumpPlan, write_dump
from miners.lessons import write_lesson
from miners.registry import find_source
from warehouse.inspection import read_row
from warehouse.publication import find_release
from warehouse.root import Root
from warehouse.shards import canonical_shards

SITE = "garden.example.com"


def revealed(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a forum, a corpus, a recipe of both and their warehouse. One page would turn a terminal red."""
    folder = tmp_path_factory.mktemp("place")
    write_dump(folder / SITE, DumpPlan(threads=60, site=SITE))
    (folder / "finemath").mkdir()
    find_source("finemath").sample(folder / "finemath", 24)
    (folder / "pages").mkdir()
    (folder / "pages" / "red.md").write_text("[bold red]hot[/bold red] \x9b31m " + write_lesson(999))
    values = {
        "name": "both",
        "inputs": [
            {"source": "stackexchange", "path": SITE},
            *({"source": n, "path": n} for n in ("finemath", "pages")),
        ],
        "blocks": {"prefix": 64, "suffix": 128},
        "windows": {"size": 4},
        "release": {"min_rows": 16},
        "limits": {"max_failure_rate": 0.3},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(values))
    built = revealed("build", folder / "recipe.yaml", "--root", folder / "root", "--workers", "1")
    assert built.exit_code == 0, built.output
    (folder / "output.txt").write_text(built.stdout)
    return folder


def test_a_build_of_two_routes_says_what_each_released(place: Path) -> None:
    output = (place / "output.txt").read_text()
    for name, unit in (("both-forums", "pairs"), ("both-web", "continuations")):
        manifest = find_release(Root(str(place / "root")), name)
        assert f"{name}, build {manifest.build}" in output
        rows = sum(split.rows + split.tail_rows for split in manifest.splits.values())
        assert f"{rows:,} {unit} in" in output
    assert output.count("partitions:") == 1


def test_a_dry_run_names_every_release(place: Path) -> None:
    planned = revealed("build", place / "recipe.yaml", "--root", place / "new", "--dry-run")
    assert planned.exit_code == 0, planned.output
    for line in ("releases/both-forums\n", "releases/both-web\n", "in the configs continuations, in_batch, rbs"):
        assert line in planned.stdout
    assert not (place / "new").exists()


def test_which_release_is_meant_must_be_said(place: Path) -> None:
    for command in (("stats",), ("show", "abc")):
        asked = revealed(*command, "--root", place / "root")
        assert asked.exit_code == 2
        assert "there are: both-forums, both-web" in asked.stderr


def test_statistics_of_continuations_are_one_json_object(place: Path) -> None:
    printed = revealed("stats", "--root", place / "root", "--release", "both-web", "--json")
    found = json.loads(printed.stdout)
    assert found["documents"] == found["blocks_per_document"]["rows"] > 20
    assert found["rows"] == sum(split["rows"] + split["tail_rows"] for split in found["splits"].values())
    assert set(found["communities"]) == {"finemath", "pages"}
    assert found["communities"]["finemath"]["languages"] == {"en": found["communities"]["finemath"]["rows"]}
    assert found["hosts"] == len(found["largest_hosts"]) == 5
    assert found["modes"] == {"fixed": found["rows"]}
    assert (found["prefix_tokens"]["min"], found["suffix_tokens"]["max"]) == (64, 128)
    assert found["windows"] * 4 == sum(split["rows"] for split in found["splits"].values())


def test_statistics_of_each_route_are_laid_out(place: Path) -> None:
    web = revealed("stats", "--root", place / "root", "--release", "both-web").stdout
    for words in ("blocks a document", "in windows of 4", "host a.lessons.example", "licence ODC-By-1.0"):
        assert words in web
    forums = revealed("stats", "--root", place / "root", "--release", "both-forums").stdout
    assert "decided by one vote" in forums
    assert "rules of the view worldpm" in forums


def test_a_continuation_is_shown_as_it_reads_and_does_nothing(place: Path) -> None:
    root = Root(str(place / "root"))
    manifest = find_release(root, "both-web")
    rows = (
        read_row(root, manifest, shard, number).values
        for shard in canonical_shards(manifest)
        for number in range(shard.rows)
    )
    values = next(row for row in rows if "hot" in str(row["prefix"]))
    shown = revealed("show", str(values["uid"])[:12], "--root", place / "root", "--release", "both-web")
    assert shown.exit_code == 0, shown.output
    assert "[bold red]hot[/bold red]" in shown.stdout
    assert not set("\x1b\x9b") & set(shown.stdout)
    order = ["prefix", "64 tokens", "suffix", "128 tokens", "fixed, at character", str(values["uid"]), "shard"]
    assert sorted(order, key=shown.stdout.index) == order


@pytest.mark.parametrize("release", ["both-forums", "both-web"])
def test_the_example_of_a_row_is_one_of_the_release_at_hand(place: Path, release: str) -> None:
    where = ("--root", place / "root", "--release", release)
    refused = revealed("show", "nothing", *where)
    assert refused.exit_code == 2
    assert "stackexchange" not in refused.stderr
    found = re.search(r"such as (\w{32})", refused.stderr)
    assert found is not None
    assert revealed("show", found[1], *where).exit_code == 0


def test_a_warehouse_with_both_releases_is_sound(place: Path) -> None:
    verified = revealed("verify", "--root", place / "root")
    assert verified.exit_code == 0, verified.output
    assert "builds 2" in verified.stdout


def test_benchmarks_that_recipes_can_name_are_listed() -> None:
    listed = revealed("sources", "--benchmarks").stdout
    assert "gsm8k" in listed
    assert "question" in listed
    assert "finemath" in revealed("sources").stdout
