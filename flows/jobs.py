"""Jobs: what a build is started with, in a form that travels to a Prefect worker, and the start itself."""

from contextlib import nullcontext
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from flows.build import Build
from flows.engine import Engine, Runner, run_directly, run_in_turn
from flows.executors import Resources, SerialExecutor, open_executor
from flows.progress import Bars, Lines, Reporter
from schemas.manifest import ReleaseManifest
from schemas.recipe import read_recipe
from warehouse.root import open_root

_SCREEN = Console(stderr=True)


class Job(BaseModel):
    """One build to be run: which recipe, on which warehouse, with what resources."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: Path
    root: str
    workers: int = 0
    """Local processes; 0 is one a core."""
    dask: str | None = None
    sample: float = 1.0


def run_job(job: Job, runner: Runner | None = None) -> tuple[tuple[ReleaseManifest, ...], Engine]:
    """Run a build here, with bars on a terminal and lines elsewhere; answers its releases. runner: of coarse tasks."""
    recipe = read_recipe(job.recipe)
    root = open_root(job.root)
    with open_executor(Resources(job.workers, job.dask), shared_root=root.is_shared) as executor:
        direct = run_in_turn if isinstance(executor, SerialExecutor) else run_directly
        bars = Bars(_SCREEN) if _SCREEN.is_terminal else None
        with bars or nullcontext():
            reporter: Reporter = bars or Lines()
            engine = Engine(executor, runner or direct, reporter, recipe.limits.max_failure_rate)
            build = Build(recipe, root, engine, job.recipe.parent, job.sample)
            return build.run(), engine
