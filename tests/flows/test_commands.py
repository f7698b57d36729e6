"""The command line on a real small warehouse: what it prints, what it leaves alone, and its exit codes."""

import json
import shutil
import tempfile
from pathlib import Path

import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result

from flows.cli import main
from flows.samples import DumpPlan, write_dump
from miners.registry import find_source
from warehouse.inspection import find_row, read_row
from warehouse.publication import find_release
from warehouse.root import Root

SITE = "garden.example.com"


def revealed(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, [str(argument) for argument in arguments])


def write_recipe(folder: Path, **changes: object) -> Path:
    values = {
        "name": "garden",
        "inputs": [{"source": "stackexchange", "path": SITE}],
        "limits": {"max_failure_rate": 0.3},
    }
    path = folder / f"recipe-{len(list(folder.glob('*.yaml')))}.yaml"
    path.write_text(yaml.safe_dump(values | changes))
    return path


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dump, its recipe and its warehouse. Its titles would turn a careless terminal red."""
    folder = tmp_path_factory.mktemp("garden")
    write_dump(folder / SITE, DumpPlan(threads=60, site=SITE))
    posts = folder / SITE / "Posts.xml"
    posts.write_bytes(posts.read_bytes().replace(b' Title="', b' Title="[bold red]hot[/bold red] &#155;31m '))
    built = revealed("build", write_recipe(folder), "--root", folder / "root", "--workers", "1")
    assert built.exit_code == 0, built.output
    return folder


@pytest.fixture
def warehouse(garden: Path, tmp_path: Path) -> Path:
    """A warehouse of one's own to damage."""
    return Path(shutil.copytree(garden / "root", tmp_path / "root"))


def uid_of_a_row(root: Path) -> str:
    place = Root(str(root))
    manifest = find_release(place)
    return str(read_row(place, manifest, manifest.shards[0], 0).values["uid"])


def test_a_build_says_what_it_released_and_a_second_one_computes_nothing(garden: Path) -> None:
    built = revealed("build", garden / "recipe-0.yaml", "--root", garden / "root", "--workers", "1")
    assert built.exit_code == 0
    manifest = find_release(Root(str(garden / "root")))
    assert f"garden, build {manifest.build}" in built.stdout
    assert "partitions: 0 computed" in built.stdout
    assert f'load_dataset("{garden}/root/releases/garden/{manifest.build}")' in built.stdout
    assert "too_few_replies" in built.stdout


def test_a_misspelt_key_is_an_error_of_the_users_that_names_the_right_one(garden: Path, tmp_path: Path) -> None:
    refused = revealed("build", write_recipe(tmp_path, dedup={"bandz": 3}), "--root", garden / "root")
    assert refused.exit_code == 2
    assert "did you mean `dedupe`?" in refused.stderr


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_a_missing_recipe_or_input_is_an_error_of_the_users(tmp_path: Path, flags: tuple[str, ...]) -> None:
    missing = revealed("build", tmp_path / "no.yaml", "--root", tmp_path / "root", *flags)
    assert (missing.exit_code, "cannot be read" in missing.stderr) == (2, True)
    empty = revealed("build", write_recipe(tmp_path), "--root", tmp_path / "root", *flags)
    assert empty.exit_code == 2
    assert SITE in empty.stderr


def test_too_many_broken_rows_stop_the_build_with_an_exit_code_of_its_own(garden: Path, tmp_path: Path) -> None:
    recipe = write_recipe(garden, limits={"max_failure_rate": 0.0})
    stopped = revealed("build", recipe, "--root", tmp_path / "root", "--workers", "1")
    assert stopped.exit_code == 3
    assert "limits.max_failure_rate" in stopped.stderr


@pytest.mark.parametrize("share", ["0", "2", "some", "-1%"])
def test_a_sample_that_is_no_share_is_refused(garden: Path, share: str) -> None:
    refused = revealed("build", garden / "recipe-0.yaml", f"--sample={share}")
    assert refused.exit_code == 2
    assert "expected `1%`" in refused.stderr


def test_a_sample_is_published_under_its_own_name(garden: Path, warehouse: Path) -> None:
    built = revealed("build", garden / "recipe-0.yaml", "--root", warehouse, "--workers", "1", "--sample", "60%")
    assert built.exit_code == 0, built.stderr
    assert "garden-sample, build" in built.stdout
    ambiguous = revealed("stats", "--root", warehouse)
    assert ambiguous.exit_code == 2
    assert "garden, garden-sample" in ambiguous.stderr
    counts = [
        json.loads(revealed("stats", "--json", "--release", name, "--root", warehouse).stdout)["rows"]
        for name in ("garden", "garden-sample")
    ]
    assert 0 < counts[1] < counts[0]


def test_statistics_are_one_json_object_whose_funnel_balances(garden: Path) -> None:
    found = json.loads(revealed("stats", "--json", "--root", garden / "root").stdout)
    assert {"ingest", "threads", "pairs", "dedupe", "select"} <= {row["stage"] for row in found["funnel"]}
    for row in found["funnel"]:
        assert row["rows_in"] == row["rows_out"] + sum(row["dropped"].values())
    assert found["rows"] == sum(split["rows"] + split["tail_rows"] for split in found["splits"].values())
    for split in found["splits"].values():
        assert split["rows"] == split["shards"] * split["rows_per_shard"]
    assert found["survival"].keys() == {"512", "1024", "2048", "4096"}


def test_statistics_are_shown_as_tables(garden: Path) -> None:
    shown = revealed("stats", "--root", garden / "root")
    assert shown.exit_code == 0
    for title in ("where the rows went", "splits", "communities", "distributions", "shares"):
        assert title in shown.stdout


@pytest.mark.parametrize("command", [("stats",), ("show", "abc"), ("verify",)])
def test_an_unknown_release_is_an_error_of_the_users(garden: Path, command: tuple[str, ...]) -> None:
    refused = revealed(*command, "--release", "gardn", "--root", garden / "root")
    assert refused.exit_code == 2
    assert "no release `gardn`" in refused.stderr


@pytest.mark.parametrize("command", [("stats",), ("show", "abc"), ("verify",)])
def test_a_root_that_holds_nothing_is_an_error_of_the_users(tmp_path: Path, command: tuple[str, ...]) -> None:
    assert revealed(*command, "--root", tmp_path / "typo").exit_code == 2
    assert not (tmp_path / "typo").exists()


def test_a_row_is_shown_with_its_texts_and_its_origin(garden: Path) -> None:
    uid = uid_of_a_row(garden / "root")
    shown = revealed("show", uid[:9], "--root", garden / "root").stdout
    place = Root(str(garden / "root"))
    row = find_row(place, find_release(place), uid)
    assert row is not None
    [reply] = row.values["chosen"]  # type: ignore[misc]
    assert reply["content"].split("\n")[0][:60] in shown
    for text in (uid, f"score {row.values['chosen_score']}", str(row.values["url"]), str(row.values["license"])):
        assert text in shown
    assert row.shard in shown.replace("\n", "")


def test_text_of_strangers_neither_styles_nor_steers_the_terminal(garden: Path) -> None:
    shown = revealed("show", uid_of_a_row(garden / "root"), "--root", garden / "root").stdout
    assert "[bold red]hot[/bold red] 31m" in shown
    assert "\x9b" not in shown


def test_a_dropped_row_is_shown_with_the_reason_in_words(garden: Path) -> None:
    place = Root(str(garden / "root"))
    [key] = [key for key in place.keys("stages/threads") if key.endswith(".drops.parquet")]
    ref = pl.read_parquet(place.path(key)).filter(pl.col("reason") == "too_few_replies")["ref"][0]
    shown = revealed("show", ref.removeprefix("stackexchange/"), "--root", garden / "root")
    assert shown.exit_code == 0
    assert "the thread has fewer than two replies (too_few_replies)" in shown.stdout
    assert "\x9b" not in shown.stdout


def test_what_is_neither_row_nor_drop_is_an_error_that_says_what_to_give(garden: Path) -> None:
    refused = revealed("show", "f" * 32, "--root", garden / "root")
    assert refused.exit_code == 2
    assert "first digits of a uid" in refused.stderr


def test_verify_finds_damage_and_the_next_build_repairs_it(garden: Path, tmp_path: Path) -> None:
    """A shard is a hard link to its partition, so that damage in place breaks both."""
    build = ("build", garden / "recipe-0.yaml", "--root", tmp_path, "--workers", "1")
    revealed(*build)
    assert revealed("verify", "--root", tmp_path).exit_code == 0
    shard = min(tmp_path.glob("releases/garden/*/train/*.parquet"))
    threads = next(tmp_path.glob("stages/threads/*/*.arrow"))
    sound = shard.read_bytes()
    for path in (shard, threads):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = revealed("verify", "--root", tmp_path)
    assert found.exit_code == 1
    assert "problems: 3" in found.stdout
    assert shard.name in found.stdout
    assert threads.name in found.stdout
    assert "partitions: 2 computed" in revealed(*build).stdout
    assert shard.read_bytes() == sound
    assert revealed("verify", "--root", tmp_path).exit_code == 0


def test_collection_takes_what_no_snapshot_reaches_and_nothing_else(warehouse: Path) -> None:
    orphan = warehouse / "stages" / "threads" / "00" / ("0" * 32 + ".arrow")
    orphan.parent.mkdir(parents=True, exist_ok=True)
    orphan.write_bytes(b"x" * 2**20)
    counted = revealed("gc", "--dry-run", "--root", warehouse)
    assert counted.stdout.startswith("would remove 1 files of 1.0 MiB")
    assert orphan.exists()
    assert revealed("gc", "--root", warehouse).stdout.startswith("removed 1 files")
    assert not orphan.exists()
    assert revealed("verify", "--root", warehouse).exit_code == 0


def test_a_dry_run_writes_nothing_and_knows_what_is_read_already(garden: Path, tmp_path: Path) -> None:
    before = list_files(garden / "root")
    shutil.rmtree(garden / "root" / "inputs")  # forgotten hashes are computed again, and not remembered
    known = revealed("build", garden / "recipe-0.yaml", "--root", garden / "root", "--dry-run")
    assert known.exit_code == 0, known.stderr
    [line] = [line for line in known.stdout.splitlines() if line.strip().startswith(SITE)]
    assert line.split()[-3:] == ["4", "4", "1"]  # slices, of them read already, buckets
    after = list_files(garden / "root")
    assert after == {key: data for key, data in before.items() if not key.startswith("inputs/")}
    fresh = revealed("build", garden / "recipe-0.yaml", "--root", tmp_path / "new", "--dry-run", "--sample", "1%")
    [line] = [line for line in fresh.stdout.splitlines() if line.strip().startswith(SITE)]
    assert line.split()[-3:] == ["4", "0", "1"]
    assert f"would publish {tmp_path}/new/releases/garden-sample" in fresh.stdout
    assert not (tmp_path / "new").exists()


def test_a_dry_run_names_the_view_of_each_route(garden: Path, tmp_path: Path) -> None:
    find_source("messages").sample(tmp_path, 5)
    inputs = [{"source": "stackexchange", "path": SITE}, {"source": "messages", "path": str(tmp_path)}]
    planned = revealed("build", write_recipe(garden, inputs=inputs), "--root", tmp_path / "root", "--dry-run").stdout
    assert "with the view worldpm (" in planned
    assert "with the view wildreward (five levels;" in planned


def test_a_dry_run_refuses_an_unknown_view(garden: Path, tmp_path: Path) -> None:
    refused = revealed("build", write_recipe(garden, view="worldpn"), "--root", tmp_path, "--dry-run")
    assert refused.exit_code == 2
    assert "did you mean `worldpm`?" in refused.stderr


def test_sources_and_views_are_listed() -> None:
    assert "stackexchange" in revealed("sources").stdout
    views = revealed("sources", "--views").stdout
    for view, route, paper in (("worldpm", "forums", "2505.10527"), ("wildfeedback", "chats", "2408.15549")):
        [line] = [line for line in views.splitlines() if line.strip().startswith(view)]
        assert line.split()[1] == route
        assert paper in views


@pytest.mark.parametrize("url", [None, "memory://demo"])
def test_the_demo_builds_shows_rows_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    root = url or str(tmp_path / "root")
    shown = revealed("demo", "--threads", "40", "--workers", "1", "--root", root)
    assert shown.exit_code == 0, shown.output
    for text in ("chosen  score", "what the user said next", "\u256d\u2500 suffix"):
        assert shown.stdout.count(text) == 2, text
    for line in ("load_dataset(", "RewardTrainer(", "ordinal_targets", f"revealed verify --root {root}"):
        assert line in shown.stdout
    tried = [line.split() for line in shown.stdout.splitlines() if line.strip().startswith("revealed s")]
    assert [words[1] for words in tried] == ["stats", "show"] * 3
    found = [revealed(*words[1:]) for words in tried]
    assert [done.exit_code for done in found] == [0] * 6
    assert "in the paper" in found[4].stdout
    assert "what the user said next" in found[5].stdout


def test_the_demo_refuses_a_root_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    refused = revealed("demo", "--threads", "20", "--root", tmp_path / "file")
    assert refused.exit_code == 2
    assert "expected a --root that can be" in refused.stderr
