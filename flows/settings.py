"""Settings: what a build is started with, in a form that travels to a Prefect worker."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Job(BaseModel):
    """One build to be run: which recipe, on which warehouse, with what resources."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: Path
    root: str
    workers: int = 0
    """Local processes; 0 is one a core."""
    dask: str | None = None
    sample: float = 1.0


def prefect_is_configured() -> bool:
    """Whether the environment or the active profile names a Prefect API."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH", Path.home() / ".prefect" / "profiles.toml"))
    return profiles.is_file() and "PREFECT_API_URL" in profiles.read_text(encoding="utf-8")
