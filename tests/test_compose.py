"""docker-compose.yml: its promises as read from the file, and the commands of our services run as processes."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from flows.jobs import Job, run_job
from flows.samples import DumpPlan, write_dump

PROJECT = Path(__file__).parents[1]
FILE = PROJECT / "docker-compose.yml"
COMPOSE = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


@every_service
def test_services_are_watched_and_come_back(service):
    check = service["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)
    assert service["restart"] == "unless-stopped"


@every_service
def test_ports_are_published_on_loopback_only(service):
    assert [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")] == []


@every_service
def test_images_are_pinned(service):
    images = [service["image"], *re.findall(r"^FROM (\S+)", service.get("build", {}).get("dockerfile_inline", ""))]
    for image in images:
        assert re.search(r":v?\d+(\.\d+)+", image), f"{image} names no version"


@every_service
def test_secrets_come_from_the_environment(service):
    for name, value in service["environment"].items():
        if re.search(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY", name):
            assert re.fullmatch(r"\$\{[A-Z_]+:(\?.{10,}|-)\}", value), f"{name} is written out, or does not say why"
    assert not re.search(r"://[^/\s]*:[^/\s]*@", yaml.safe_dump(service)), "a password in a URL"


@every_service
def test_services_wait_for_the_health_of_services_that_exist(service):
    for name, how in service.get("depends_on", {}).items():
        assert name in SERVICES
        assert how == {"condition": "service_healthy"}


@every_service
def test_what_lasts_lies_in_named_volumes_or_given_folders(service):
    for volume in service.get("volumes", []):
        source = re.sub(r"\$\{.*?\}", "given", volume).partition(":")[0]
        assert source in {*COMPOSE["volumes"], "given"} or (PROJECT / source).is_dir()


@pytest.mark.parametrize("name", OURS)
def test_our_services_send_no_telemetry(name):
    environment = SERVICES[name]["environment"]
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_the_gpu_is_asked_for_by_profile_only():
    assert [name for name, service in SERVICES.items() if "gpu" in yaml.safe_dump(service.get("deploy", {}))] == [
        name for name, service in SERVICES.items() if service.get("profiles") == ["gpu"]
    ]


def test_the_image_holds_the_project_and_its_pinned_versions():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    dockerfile = OURS["worker"]["build"]["dockerfile_inline"]
    copied = {name for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE) for name in line.split()[:-1]}
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= copied
    assert {project["project"]["readme"], *project["project"]["license-files"], "constraints.txt"} <= copied
    assert [name for name in sorted(copied) if not (PROJECT / name).exists()] == []
    assert "--constraint constraints.txt" in dockerfile


class Stand:
    """Runs services as processes: every port becomes a free one, and every host this one."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = {port: str(free_port()) for port in ("4200", "8080", "8786", "8787", "8788")}

    def adapt(self, text):
        for port, free in self.ports.items():
            text = re.sub(rf"\b{port}\b", free, text)
        return re.sub(r"\b0\.0\.0\.0\b|(?<=//)[a-z-]+(?=:\d)", "127.0.0.1", text)

    def environment(self, name):
        """The service's own, less what names other containers: SQLite serves instead of Postgres."""
        given = {key: value for key, value in SERVICES[name]["environment"].items() if "${" not in str(value)}
        kept = {key: self.adapt(value) for key, value in given.items() if not re.match("AWS|.*DATABASE", key)}
        home = {"PREFECT_HOME": str(self.folder / name), "NUMBA_CACHE_DIR": str(self.folder / "numba")}
        return {**os.environ, **kept, **home, "PREFECT_WORKER_WEBSERVER_PORT": self.ports["8080"]}

    @contextmanager
    def up(self, name):
        """Run a service's command until it is healthy, as its own health check says; end its whole process group."""
        program, *arguments = (self.adapt(word) for word in SERVICES[name]["command"])
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name(program)), *arguments],
                env=self.environment(name),
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                self.wait_for_health(name, process)
                yield
            finally:
                end_group(process)

    def wait_for_health(self, name, process):
        _, program, *arguments = (self.adapt(word) for word in SERVICES[name]["healthcheck"]["test"])
        assert program == "python"
        end = time.monotonic() + 120
        while subprocess.run([sys.executable, *arguments], capture_output=True, check=False).returncode:
            log = (self.folder / f"{name}.log").read_text(errors="replace")
            assert process.poll() is None, f"{name} ended:\n{log}"
            assert time.monotonic() < end, f"{name} is not healthy:\n{log}"
            time.sleep(0.5)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end_group(process):
    os.killpg(process.pid, signal.SIGTERM)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        process.poll()
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    pytest.fail(f"processes of {process.args} outlived it")


def test_the_stand_covers_every_service_of_ours():
    assert set(OURS) == {"prefect", "worker", "dask-scheduler", "dask-worker"}


def test_prefect_and_its_worker_come_up_healthy(tmp_path):
    stand = Stand(tmp_path)
    workers = f"http://127.0.0.1:{stand.ports['4200']}/api/work_pools/revealed/workers/filter"
    with stand.up("prefect"), stand.up("worker"):
        end = time.monotonic() + 30
        while not (found := httpx.post(workers, json={}, timeout=10)).is_success or not found.json():
            assert time.monotonic() < end, (tmp_path / "worker.log").read_text()
            time.sleep(0.5)
        assert [worker["status"] for worker in found.json()] == ["ONLINE"]


def test_dask_comes_up_healthy_and_builds_the_same_release(tmp_path):
    write_dump(tmp_path / "garden", DumpPlan(30))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "{name: garden, inputs: [{source: stackexchange, path: garden}], limits: {max_failure_rate: 0.3}}"
    )
    stand = Stand(tmp_path)
    with stand.up("dask-scheduler"), stand.up("dask-worker"):
        address = f"tcp://127.0.0.1:{stand.ports['8786']}"
        [on_dask], _ = run_job(Job(recipe=recipe, root=str(tmp_path / "dask"), dask=address))
    [here], _ = run_job(Job(recipe=recipe, root=str(tmp_path / "here"), workers=1))
    assert on_dask == here


@pytest.mark.slow  # builds the image
def test_everything_comes_up_in_containers(tmp_path):
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers here; start one to bring the containers up")
    keys = set(re.findall(r"\$\{([A-Z_]+):\?", FILE.read_text(encoding="utf-8")))
    environment = {**os.environ, **dict.fromkeys(keys, "for-this-test-only"), "REVEALED_DATA": str(tmp_path)}
    compose = [docker, "compose", "--project-name", "revealed-test", "--file", str(FILE)]
    try:
        subprocess.run([*compose, "up", "--build", "--detach", "--wait"], env=environment, check=True)
    finally:
        subprocess.run([*compose, "down", "--volumes"], env=environment, check=True)
