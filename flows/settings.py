"""Settings: what the environment says about where to run."""

import os
import tomllib
from pathlib import Path


def prefect_is_configured() -> bool:
    """Whether the environment or the active profile names a Prefect API. Read here, since importing Prefect is slow."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    home = Path(os.environ.get("PREFECT_HOME", Path.home() / ".prefect"))
    path = Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml"))
    try:
        known = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # no profile, or one that Prefect itself will complain about
    active = os.environ.get("PREFECT_PROFILE", known.get("active"))
    return bool(known.get("profiles", {}).get(active, {}).get("PREFECT_API_URL"))
