import pytest

from flows.settings import prefect_is_configured

PROFILES = """
active = "{active}"

[profiles.ephemeral]
PREFECT_SERVER_ALLOW_EPHEMERAL_MODE = "true"

[profiles.local]
PREFECT_API_URL = "http://127.0.0.1:4200/api"
"""


@pytest.mark.parametrize(("active", "configured"), [("ephemeral", False), ("local", True), ("gone", False)])
def test_only_the_active_profile_counts(tmp_path, monkeypatch, active, configured):
    path = tmp_path / "profiles.toml"
    path.write_text(PROFILES.format(active=active))
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("PREFECT_PROFILE", raising=False)
    assert prefect_is_configured() is configured


def test_the_environment_counts_first(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "absent.toml"))
    assert not prefect_is_configured()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert prefect_is_configured()
