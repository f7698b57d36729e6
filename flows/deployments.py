"""Deployments: the same build as a Prefect flow, and on a schedule.

A stage of a source becomes one task, so a build has tens of tasks; its partitions run inside, on the executor. State
lies in the warehouse, not in Prefect's results: a run that is lost or repeated goes on where the last one was.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from prefect import flow, get_client, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, State, WorkPool
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.futures import PrefectFuture, wait
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.settings import get_current_settings, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker

from flows.engine import Step
from flows.jobs import Job, run_job
from flows.judging.drift import compare_builds, conclude, is_alarming, list_shifts
from schemas.errors import FatalError, TransientError
from schemas.manifest import Partition, ReleaseManifest
from schemas.recipe import read_recipe
from warehouse.root import Root, open_root

Parts = tuple[Partition, ...]

_PAUSES_SECONDS = (2.0, 4.0, 8.0)  # as the engine's own patience, which does not apply here: run_directly has it
_TASK_THREADS = 8  # they only wait for the executor
_OWN_SERVER = {
    "server.ephemeral.startup_timeout_seconds": 120,  # 15-17 s on two cores, against Prefect's limit of 20 s
    "server.analytics_enabled": False,
}


def build_as_flow(job: Job) -> tuple[ReleaseManifest, ...]:
    """Build as a flow run of the configured Prefect API; where there is none, Prefect starts a server for this run.

    Raises what a direct build raises, and FatalError where the configured API does not answer.
    """
    address = get_current_settings().api.url
    if address:
        _greet(address)
    with temporary_settings(set_defaults=_OWN_SERVER):
        manifests: tuple[ReleaseManifest, ...] = build_release(**_parameters(job))
        return manifests


def deploy(job: Job, cron: str, pool: str, timezone: str) -> None:
    """Create or renew the deployment `revealed/NAME`, and its process work pool; then say what to do next.

    The entrypoint is a module, so a worker runs it wherever the project is installed and the paths are seen. A run
    that comes due while another is still at work is cancelled. Raises FatalError for a cron string or timezone that
    cannot be, where no Prefect API is configured or answers, and for a work pool that is not of processes.
    """
    name = read_recipe(job.recipe).release_name(job.sample)
    schedule = _schedule(cron, timezone)
    address = get_current_settings().api.url
    if not address:
        raise FatalError(
            "no Prefect API is configured, and a schedule needs a server that stays; expected its address in "
            "PREFECT_API_URL, such as http://127.0.0.1:4200/api (`prefect server start` starts one)"
        )
    _greet(address)
    limit = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    with get_client(sync_client=True) as client:
        _prepare_pool(client, pool)
    RunnerDeployment.from_flow(
        build_release,
        name=name,
        schedules=[schedule],
        parameters=_parameters(job),
        concurrency_limit=limit,
        work_pool_name=pool,
        description=f"Builds {job.recipe} into {job.root}",
        entrypoint_type=EntrypointType.MODULE_PATH,
    ).apply()
    click.echo(
        f"Deployment revealed/{name} builds {job.recipe} at `{cron}` ({timezone}).\n"
        f"Runs start when a worker is up, where that path and the warehouse are seen:\n"
        f"  PREFECT_API_URL={address} prefect worker start --pool {pool}\n"
        f"To run it now:\n  prefect deployment run revealed/{name}"
    )


def _name_run() -> str:
    parameters = flow_run.parameters
    return read_recipe(Path(parameters["recipe"])).release_name(parameters.get("sample", 1.0))


@flow(
    name="revealed",
    flow_run_name=_name_run,
    task_runner=ThreadPoolTaskRunner(max_workers=_TASK_THREADS),  # type: ignore[arg-type]  # invariant in its future
    persist_result=False,
    log_prints=True,
)
def build_release(
    recipe: str, root: str, workers: int = 0, dask: str | None = None, sample: float = 1.0
) -> tuple[ReleaseManifest, ...]:
    """Build a recipe's releases; the parameters are those of a Job.

    Each funnel becomes an artifact of the run. Where the labels of a release are distributed otherwise than those of
    the build before, the run warns of it in its log, and keeps their shares as an artifact.
    """
    job = Job(recipe=Path(recipe), root=root, workers=workers, dask=dask, sample=sample)
    manifests, _ = run_job(job, runner=run_as_tasks)
    for manifest in manifests:
        rows = sum(split.rows + split.tail_rows for split in manifest.splits.values())
        create_table_artifact(
            _funnel(manifest),
            key=_name_artifact(manifest, "funnel"),
            description=f"Release `{manifest.name}`, build `{manifest.build}`: {rows:,} rows. Rows in = on + dropped.",
        )
        _warn_of_drift(open_root(root), manifest)
    return manifests


def _warn_of_drift(root: Root, manifest: ReleaseManifest) -> None:
    """Warn in the run's log, and keep the shares with it, where labels are not what they were.

    A run that publishes nothing new warns again: what it would have taken the place of is still the build before.
    """
    drift = compare_builds(root, manifest)
    if not is_alarming(drift):
        return
    words = f"Release {manifest.name}, build {manifest.build} beside build {drift.previous}: {conclude(drift)}"
    get_run_logger().warning(words)
    create_table_artifact(list_shifts(drift), key=_name_artifact(manifest, "drift"), description=words)


def _name_artifact(manifest: ReleaseManifest, what: str) -> str:
    return f"revealed-{re.sub('[^a-z0-9]+', '-', manifest.name.lower())}-{what}"


def run_as_tasks(steps: Sequence[Step]) -> list[Parts]:
    """Run the steps of a stage as tasks, side by side; answer their results in order, or raise the first error.

    One that fails shows at once, and is repeated only if it may pass. The stage ends when all have ended: what the
    others make is kept for the next run, and a step must not outlive the executor that its partitions wait for.
    """
    futures: list[PrefectFuture[Parts]] = [_as_task(name, call).submit() for name, call in steps]
    wait(futures)
    return [future.result() for future in futures]


def _as_task(name: str, call: Callable[[], Parts]) -> Any:
    """Make a task of a step. It takes no arguments, or Prefect would search all of them for futures."""

    @task(
        name=name,
        task_run_name=lambda: name,  # as text it would be a template, and a file's name may hold braces
        retries=len(_PAUSES_SECONDS),
        retry_delay_seconds=list(_PAUSES_SECONDS),
        retry_condition_fn=_may_pass,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    def step() -> Parts:
        return call()

    return step


def _may_pass(_task: object, _run: object, state: State[Any]) -> bool:
    return isinstance(state.data, TransientError)


def _funnel(manifest: ReleaseManifest) -> list[dict[str, Any]]:
    return [
        {
            "stage": row.stage,
            "source": row.source,
            "in": row.rows_in,
            "on": row.rows_out,
            "made": row.produced,
            "dropped": ", ".join(f"{count} {reason}" for reason, count in row.dropped.items()),
        }
        for row in manifest.funnel
    ]


def _parameters(job: Job) -> dict[str, Any]:
    """Write the job as JSON holds it, with absolute paths: the run may start in any folder."""
    absolute = job.model_copy(update={"recipe": job.recipe.absolute(), "root": open_root(job.root).url})
    return absolute.model_dump(mode="json")


def _schedule(cron: str, timezone: str) -> CronSchedule:
    try:
        return CronSchedule(cron=cron, timezone=timezone)
    except ValueError:
        raise FatalError(
            f"`{cron}` in `{timezone}` is no schedule; expected five fields such as `0 3 * * 1` (Mondays at three), "
            "and a timezone by its IANA name such as Europe/Berlin"
        ) from None


def _greet(address: str) -> None:
    """Raise FatalError where no server answers."""
    with get_client(sync_client=True) as client:
        error = client.api_healthcheck()
    if error is not None:
        raise FatalError(
            f"{address}: no Prefect server answers ({error}); expected one at PREFECT_API_URL (`prefect server start`)"
        )


def _prepare_pool(client: SyncPrefectClient, name: str) -> WorkPool:
    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        return client.create_work_pool(WorkPoolCreate(name=name, type=ProcessWorker.type, base_job_template=template))
    if pool.type != ProcessWorker.type:
        raise FatalError(f"the work pool `{name}` is of type {pool.type}; expected one of type {ProcessWorker.type}")
    return pool
