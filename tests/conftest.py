"""What all tests share: an environment of their own, and where real data lies."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no failure.
settings.register_profile("house", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# Set before anything imports Prefect, and inherited by the processes that tests start: nobody's own server, profile or
# telemetry is touched, and a slow machine gets its time.
_HOME = tempfile.TemporaryDirectory(prefix="revealed-prefect-", ignore_cleanup_errors=True)
for _name in [name for name in os.environ if name.startswith("PREFECT_")]:
    del os.environ[_name]
os.environ |= {
    "PREFECT_HOME": _HOME.name,
    "PREFECT_PROFILES_PATH": f"{_HOME.name}/profiles.toml",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "DO_NOT_TRACK": "1",
}


@pytest.fixture(scope="session")
def real_data():
    """Folder of real dumps (REVEALED_REAL_DATA, or ../shared/data beside the checkout); skips where there is none."""
    folder = Path(os.environ.get("REVEALED_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set REVEALED_REAL_DATA to a folder of dumps to run this")
    return folder.resolve()
