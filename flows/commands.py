"""What the commands do, once their arguments are read."""

import os
from contextlib import nullcontext

from rich.console import Console

from flows.build import Build
from flows.engine import Engine, Runner, run_directly, run_in_turn
from flows.executors import Resources, SerialExecutor, open_executor
from flows.progress import Bars, Lines, Reporter
from flows.settings import Job, prefect_is_configured
from schemas.manifest import ReleaseManifest
from schemas.recipe import read_recipe
from warehouse.root import Root

_ERR = Console(stderr=True)


def build_recipe(job: Job, *, use_prefect: bool) -> None:
    """Build, as a Prefect flow where one is asked for or configured, and print the closing summary."""
    from flows.summary import print_summary

    if use_prefect or prefect_is_configured():
        from flows.deployments import build_as_flow

        manifest, engine = build_as_flow(job), None
    else:
        manifest, engine = run_job(job)
    print_summary(manifest, Root(job.root), engine)


def run_job(job: Job, runner: Runner | None = None) -> tuple[ReleaseManifest, Engine]:
    """Run a build here, with bars on a terminal and lines elsewhere. runner: how coarse tasks are run."""
    recipe = read_recipe(job.recipe)
    root = Root(_absolute(job.root))
    with open_executor(Resources(job.workers, job.dask), shared_root=root.is_shared) as executor:
        direct = run_in_turn if isinstance(executor, SerialExecutor) else run_directly
        bars = Bars(_ERR) if _ERR.is_terminal else None
        with bars or nullcontext():
            reporter: Reporter = bars or Lines()
            engine = Engine(executor, runner or direct, reporter, recipe.limits.max_failure_rate)
            build = Build(recipe, root, engine, job.recipe.parent, job.sample)
            return build.run(), engine


def _absolute(root: str) -> str:
    """Make a local root absolute: worker processes may run elsewhere."""
    return root if "://" in root else os.path.abspath(root)  # noqa: PTH100 (a root may not exist yet, and links in it stay)
