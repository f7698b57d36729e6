"""One real Prefect server serves all tests here; builds run as flows in this process, or in a real worker's."""

import hashlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from prefect import flow, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter, LogFilter, TaskRunFilter
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import temporary_settings

from flows.cli import main
from flows.deployments import build_as_flow, deploy, run_as_tasks
from flows.engine import Engine
from flows.executors import Resources, open_executor
from flows.jobs import Job, run_job
from flows.plan import Plan
from flows.samples import DumpPlan, write_dump
from flows.work import Stage
from schemas.errors import CeilingError, CorruptError, FatalError, InputError, RecipeError, TransientError
from schemas.recipe import Recipe
from warehouse.publication import find_release
from warehouse.root import Root

RECIPE = """
name: Garden_Talk
inputs:
- {source: stackexchange, path: garden}
limits: {max_failure_rate: 0.2}
release: {min_rows: 10}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(check, seconds, what):
    """Ask until the answer is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := check():
            return answer
        time.sleep(0.25)
    pytest.fail(f"not within {seconds} s: {what}")


@contextmanager
def running(command, log, **environment):
    """Run `prefect COMMAND` in a process group of its own, and end the whole group."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *command],
            env=os.environ | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture(scope="session")
def api(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"

    def healthy():
        assert server.poll() is None, (folder / "log").read_text()
        try:
            return urllib.request.urlopen(f"{url}/health", timeout=2).status == 200
        except (urllib.error.URLError, TimeoutError):
            return False

    command = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with running(command, folder / "log", PREFECT_HOME=str(folder)) as server:
        wait_for(healthy, 120, "a healthy Prefect server")
        yield url


@pytest.fixture
def client(api):
    with temporary_settings({"api.url": api}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("input")
    write_dump(folder / "garden", DumpPlan(60))
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder / "recipe.yaml"


def only_run(client, name):
    [run] = client.read_flow_runs(flow_run_filter=FlowRunFilter(name={"any_": [name]}))
    return run


def task_runs(client, run, count):
    """Read a run's tasks; the server learns of them a moment after they end."""

    def ended():
        found = client.read_task_runs(task_run_filter=TaskRunFilter(flow_run_id={"any_": [run.id]}))
        return found if len(found) == count and all(task.state.is_final() for task in found) else None

    return wait_for(ended, 30, f"{count} ended tasks")


def test_a_flow_makes_the_same_bytes_as_a_direct_build(client, recipe, tmp_path):
    [direct], engine = run_job(Job(recipe=recipe, root=str(tmp_path / "direct"), workers=1))
    [manifest] = build_as_flow(Job(recipe=recipe, root=str(tmp_path / "flow"), workers=1))

    assert manifest == direct
    release = tmp_path / "flow" / "releases" / manifest.name / manifest.build
    for shard in manifest.shards:
        assert hashlib.sha256((release / shard.path).read_bytes()).hexdigest() == shard.sha256

    steps = sorted(f"{stage} {source}" for stage, sources in engine.made.items() for source in sources)
    run = only_run(client, "Garden_Talk")
    assert 10 <= len(steps) <= 40
    assert run.state.is_completed()
    tasks = task_runs(client, run, len(steps))
    assert sorted(task.name for task in tasks) == steps
    assert all(task.state.is_completed() and task.run_count == 1 for task in tasks)

    [artifact] = client.read_artifacts(artifact_filter=ArtifactFilter(key={"any_": ["revealed-garden-talk-funnel"]}))
    assert manifest.build in artifact.description
    rows = {(row["stage"], row["source"]): row for row in json.loads(artifact.data)}
    assert {key: (row["in"], row["on"]) for key, row in rows.items()} == {
        (row.stage, row.source): (row.rows_in, row.rows_out) for row in manifest.funnel
    }


def write_chats(path, follow_ups):
    """Write conversations of three replies; a user says one of the follow-ups after each but the last."""
    with path.open("w") as file:
        for chat in range(60):
            said = [f"How do I keep {chat} bees?"]
            for turn in range(2):
                said += [f"Answer {turn} to {chat}.", follow_ups[(chat + turn) % len(follow_ups)]]
            roles = ("user", "assistant") * 3
            messages = [{"role": role, "content": text} for role, text in zip(roles, [*said, "Well."], strict=True)]
            file.write(json.dumps({"id": str(chat), "user": str(chat), "messages": messages}) + "\n")


def test_labels_that_drift_are_a_warning_and_an_artifact_of_the_run_and_stand_in_the_statistics(client, tmp_path):
    chats, root = tmp_path / "chats.jsonl", tmp_path / "root"
    inputs = [{"source": "messages", "path": str(chats)}]
    asked = {"feedback": {"neutral": "keep"}, "release": {"min_rows": 10}, "dedupe": {"threshold": 1}}
    (tmp_path / "chatty.yaml").write_text(json.dumps({"name": "chatty", "inputs": inputs} | asked))
    for follow_ups in (["That is wrong, it does not work.", "Perfect, thank you!"], ["Perfect, thank you!"]):
        assert client.read_artifacts(artifact_filter=ArtifactFilter(key={"any_": ["revealed-chatty-drift"]})) == []
        write_chats(chats, follow_ups)
        [manifest] = build_as_flow(Job(recipe=tmp_path / "chatty.yaml", root=str(root), workers=1))

    [artifact] = client.read_artifacts(artifact_filter=ArtifactFilter(key={"any_": ["revealed-chatty-drift"]}))
    assert {row["label"].split()[1] for row in json.loads(artifact.data) if row["alarm"]} >= {"satisfaction"}
    assert manifest.build in artifact.description
    logs = LogFilter(level={"ge_": logging.WARNING})
    [warning] = wait_for(
        lambda: [
            log.message for log in client.read_logs(log_filter=logs) if "drift: 90 turns that are new" in log.message
        ],
        30,
        "the run's warning",
    )
    assert warning == artifact.description

    shown = CliRunner().invoke(main, ["stats", "--json", "--root", str(root)])
    drift = json.loads(shown.stdout)["drift"]
    assert drift["difference"]["alarming"]
    assert drift["now"]["labels"] != drift["before"]["labels"]


def test_a_transient_error_is_retried_and_results_stay_in_order(client):
    calls = []

    def flaky():
        calls.append("flaky")
        if calls.count("flaky") == 1:
            raise TransientError("the store looked away")
        return ("late",)

    @flow(name="steps", flow_run_name="transient")
    def steps():
        return run_as_tasks([("flaky step", flaky), ("sound {step}", lambda: ("early",))])

    assert steps() == [("late",), ("early",)]
    tasks = task_runs(client, only_run(client, "transient"), 2)
    assert {task.name: task.run_count for task in tasks} == {"flaky step": 2, "sound {step}": 1}


@pytest.mark.parametrize(
    "error",
    [FatalError("no such thing"), CeilingError("too much went wrong"), CorruptError("a.arrow", "is torn", "f00d")],
    ids=lambda error: type(error).__name__,
)
def test_other_errors_fail_the_flow_at_once_and_arrive_whole(client, error):
    calls = []

    def broken():
        calls.append(1)
        raise error

    name = f"fails with {type(error).__name__}"

    @flow(name="steps", flow_run_name=name)
    def steps():
        run_as_tasks([("broken step", broken)])

    with pytest.raises(type(error)) as raised:
        steps()
    assert raised.value is error
    assert len(calls) == 1
    run = only_run(client, name)
    assert run.state.is_failed()
    assert str(error) in run.state.message


STAGES = """
import time

import pyarrow as pa

from schemas.errors import FatalError
from schemas.outcome import NOTHING_DROPPED, Outcome


def fail(inputs, given):
    raise FatalError("no use to go on")


def make(inputs, given):
    time.sleep(0.1)
    yield Outcome(pa.table({"n": [given["n"]]}), NOTHING_DROPPED, 1)
"""


def test_a_step_that_fails_leaves_its_neighbours_work_for_the_next_run(client, tmp_path, monkeypatch):
    """And the flow ends: a pool that is shut while a step still waits for it would make that step wait for ever."""
    (tmp_path / "made_up_stages.py").write_text(STAGES)
    monkeypatch.syspath_prepend(tmp_path)
    recipe = Recipe.model_validate({"name": "n", "inputs": [{"source": "s", "path": "p"}]})
    root = Root(str(tmp_path / "root"))

    @flow(name="steps", flow_run_name="neighbours")
    def steps():
        with open_executor(Resources(workers=2), shared_root=True) as executor:
            plan = Plan(recipe, root, Engine(executor, run_as_tasks))
            fail, make = (Stage("made-up", f"made_up_stages:{name}") for name in ("fail", "make"))
            plan.engine.stage(
                {"bad": [plan.work(fail, {}, {})], "good": [plan.work(make, {"n": n}, {}) for n in range(9)]}
            )

    with pytest.raises(FatalError, match="no use to go on"):
        steps()
    assert sum(key.endswith(".json") for key in root.keys("stages")) == 9
    tasks = task_runs(client, only_run(client, "neighbours"), 2)
    assert {task.name: task.state.is_completed() for task in tasks} == {"made-up bad": False, "made-up good": True}


def test_a_failed_build_says_why_where_prefect_shows_it(client, recipe, tmp_path):
    lost = tmp_path / "lost.yaml"
    lost.write_text(RECIPE.replace("Garden_Talk", "lost").replace("path: garden", "path: nowhere"))
    with pytest.raises(InputError, match="nowhere"):
        build_as_flow(Job(recipe=lost, root=str(tmp_path / "root"), workers=1))
    run = only_run(client, "lost")
    assert run.state.is_failed()
    assert "nowhere" in run.state.message


def test_a_recipe_that_is_none_is_the_users_error_as_ever(client, tmp_path):
    (tmp_path / "odd.yaml").write_text("name: odd\ninput: []\n")
    with pytest.raises(RecipeError, match="did you mean `inputs`"):
        build_as_flow(Job(recipe=tmp_path / "odd.yaml", root=str(tmp_path / "root"), workers=1))


def test_deploy_makes_a_pool_and_one_deployment_that_runs_anywhere(client, recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    job = Job(recipe=Path(os.path.relpath(recipe, tmp_path)), root="relative", workers=2)
    deploy(job, cron="0 3 * * 1", pool="weekly", timezone="UTC")
    deploy(job, cron="0 4 * * 1", pool="weekly", timezone="Europe/Berlin")

    found = client.read_deployment_by_name("revealed/Garden_Talk")
    [schedule] = found.schedules
    assert (schedule.schedule.cron, schedule.schedule.timezone) == ("0 4 * * 1", "Europe/Berlin")
    assert found.entrypoint == "flows.deployments.build_release"
    assert found.work_pool_name == "weekly"
    assert found.global_concurrency_limit.limit == 1
    assert client.read_work_pool("weekly").type == "process"
    assert Path(found.parameters["recipe"]).is_absolute()
    assert found.parameters["root"] == str(tmp_path / "relative")
    assert Job.model_validate(found.parameters).workers == 2
    assert "prefect worker start --pool weekly" in capsys.readouterr().out


@pytest.mark.parametrize(("cron", "timezone"), [("every monday", "UTC"), ("0 3 * * 1", "Mars/Olympus"), ("", "UTC")])
def test_a_schedule_that_cannot_be_is_refused(client, recipe, tmp_path, cron, timezone):
    with pytest.raises(FatalError, match="five fields"):
        deploy(Job(recipe=recipe, root=str(tmp_path)), cron=cron, pool="p", timezone=timezone)


def test_a_pool_of_another_kind_is_refused(client, recipe, tmp_path):
    client.create_work_pool(WorkPoolCreate(name="clouds", type="kubernetes"))
    with pytest.raises(FatalError, match="kubernetes"):
        deploy(Job(recipe=recipe, root=str(tmp_path)), cron="0 3 * * 1", pool="clouds", timezone="UTC")


def test_deploying_needs_an_api_that_answers(recipe, tmp_path):
    job = Job(recipe=recipe, root=str(tmp_path))
    with temporary_settings({"api.url": None}), pytest.raises(FatalError, match="PREFECT_API_URL"):
        deploy(job, cron="0 3 * * 1", pool="p", timezone="UTC")
    silent = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({"api.url": silent}), pytest.raises(FatalError, match="no Prefect server answers"):
        deploy(job, cron="0 3 * * 1", pool="p", timezone="UTC")
    with temporary_settings({"api.url": silent}), pytest.raises(FatalError, match="no Prefect server answers"):
        build_as_flow(job)


@pytest.mark.slow  # cron knows no shorter time than a minute
def test_a_worker_builds_the_release_when_the_schedule_fires(client, api, recipe, tmp_path):
    root = tmp_path / "root"
    deploy(Job(recipe=recipe, root=str(root), workers=1), cron="* * * * *", pool="minutely", timezone="UTC")
    deployment = client.read_deployment_by_name("revealed/Garden_Talk")

    def fired():
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(deployment_id={"any_": [deployment.id]}),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        )
        return next((run for run in runs if run.auto_scheduled and run.state.is_completed()), None)

    command = ["worker", "start", "--pool", "minutely", "--type", "process"]
    with running(command, tmp_path / "log", PREFECT_API_URL=api):
        run = wait_for(fired, 150, f"a scheduled run that is complete\n{(tmp_path / 'log').read_text()}")
    log = (tmp_path / "log").read_text()
    assert run.name == "Garden_Talk"
    assert find_release(Root(str(root))).name == "Garden_Talk"
    assert str(run.id) in log
