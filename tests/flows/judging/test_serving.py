"""Serving, with a stand-in for vLLM: a server that starts a helper, as vLLM starts its engine."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml

from flows.judging.interpreters import find_interpreter, prepare_environment
from flows.judging.lifelines import keep_alive, quote_end
from flows.judging.serving import Model, Serving, choose_model, choose_settings, serve, serve_until_told, write_address
from schemas.chat_sections import Judge
from schemas.errors import FatalError, RecipeError

PROJECT = Path(__file__).parents[3]

API_SERVER = """
import json, os, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
given = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if "=" in word)
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("the model is being loaded", flush=True)
if given["model"] == "broken":
    sys.exit("CUDA is \\x1b[31mout of memory")
class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"pids": [os.getpid(), helper.pid], "argv": sys.argv[1:],
            "quiet": os.environ.get("VLLM_NO_USAGE_STATS"), "offline": os.environ.get("HF_HUB_OFFLINE"),
            "path": os.environ.get("PYTHONPATH")}).encode())
    def log_message(self, *args): pass
if given["model"] == "slow":
    time.sleep(600)
server = HTTPServer(("127.0.0.1", int(given["port"])), Health)
if given["model"] == "brief":
    server.handle_request()
    sys.exit("the engine died")
server.serve_forever()
"""

SERVE = """
from flows.judging.serving import Model, Serving, serve
import httpx, sys, time
with serve(Serving(Model("fine", "fine"), python=sys.argv[1], port=0)) as server:
    print(httpx.get(server.url.removesuffix("/v1") + "/health").text, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def logs(tmp_path, monkeypatch):
    """Where logs go, those of the processes that are started too."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An interpreter that has the stand-in."""
    top = tmp_path_factory.mktemp("environment")
    package = top / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    (package / "api_server.py").write_text(API_SERVER)
    path = top / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={top} exec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return str(path)


def ask_health(server):
    return httpx.get(server.url.removesuffix("/v1") + "/health", trust_env=False).json()


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pids):
    end = time.monotonic() + 30
    while running := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < end, f"{running} are still there"
        time.sleep(0.05)


def test_a_server_serves_while_the_context_lasts_and_leaves_nothing_behind(python, tmp_path):
    log = tmp_path / "log"
    with serve(Serving(Model("fine", "judge", "abc"), python, port=0, extra=("--enforce-eager",)), log) as server:
        said = ask_health(server)
        assert yaml.safe_load(server.recipe)["judge"] == {
            "kind": "server",
            "model": "judge",
            "revision": "abc",
            "urls": [server.url],
        }
        assert Judge.model_validate(yaml.safe_load(server.recipe)["judge"]).model == "judge"
    assert {"--model=fine", "--served-model-name=judge", "--revision=abc", "--enforce-eager"} <= set(said["argv"])
    assert said["quiet"] == "1"
    assert said["offline"] is None
    wait_until_gone(said["pids"])
    assert "the model is being loaded" in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_ends_with_whoever_started_it(python, number):
    command = [sys.executable, "-c", SERVE, python]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as starter:
        said = json.loads(starter.stdout.readline())
        assert all(is_running(pid) for pid in said["pids"])
        starter.send_signal(number)
    wait_until_gone(said["pids"])


def test_the_command_prints_a_recipe_and_ends_at_sigterm(python):
    command = [sys.executable, "-m", "flows.cli", "judge", "serve", "--model", "fine", "--python", python]
    with subprocess.Popen([*command, "--port", "0"], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(6)]
        judge = yaml.safe_load("".join(lines))["judge"]
        said = httpx.get(judge["urls"][0].removesuffix("/v1") + "/health", trust_env=False).json()
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 128 + signal.SIGTERM
    assert not any(is_running(pid) for pid in said["pids"]), "it left before its server had"


def test_a_server_that_cannot_start_says_its_last_words(python, tmp_path):
    with (
        pytest.raises(FatalError, match=r"code 1.*\n(.*\n)*.*CUDA is \[31mout of memory"),
        serve(Serving(Model("broken", "broken"), python, port=0), tmp_path / "log"),
    ):
        pytest.fail("it is not healthy")


def test_a_server_that_dies_later_says_its_last_words(python, tmp_path):
    serving = Serving(Model("brief", "brief"), python, port=0)
    with serve(serving, tmp_path / "log") as server, pytest.raises(FatalError, match="the engine died"):
        server.wait()


def test_patience_ends(python, tmp_path):
    serving = Serving(Model("slow", "slow"), python, port=0, patience=1)
    with pytest.raises(FatalError, match="not healthy after 1 s"), serve(serving, tmp_path / "log"):
        pytest.fail("it is not healthy")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
        ("fd00::7", "http://[fd00::7]:8000"),
    ],
)
def test_a_host_is_written_as_an_address_has_it(host, address):
    assert write_address(host, 8000) == address


def test_a_taken_port_is_refused_before_anything_starts(python):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(RecipeError, match=f"127.0.0.1:{port}.*a free port"),
            serve(Serving(Model("fine", "fine"), python, port=port)),
        ):
            pytest.fail("another server answers there")


def test_who_ignores_the_request_to_end_is_made_to(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.judging.lifelines._GRACE", 0.5)
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('here', flush=True); time.sleep(600)"
    with keep_alive([sys.executable, "-c", stubborn], os.environ, tmp_path / "log", talks=True) as process:
        assert process.stdout.readline() == b"here\n"
    assert process.returncode == 256 - signal.SIGKILL


def test_the_end_of_a_log_is_short_and_plain(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"first\n" + b"x" * 20_000 + b"\n" + b"\x1b[2Jlast\xff\n")
    assert quote_end(log).splitlines()[-1] == "  [2Jlast\N{REPLACEMENT CHARACTER}"
    assert "first" not in quote_end(log)
    log.write_bytes(b"")
    assert quote_end(log) == "  (nothing)"


@pytest.mark.parametrize("path", ["/no/such/python", shutil.which("false")])
def test_an_interpreter_without_vllm_is_refused_with_advice(path):
    with pytest.raises(RecipeError, match=r"pip install vllm.*REVEALED_VLLM_PYTHON"):
        find_interpreter(path)


def test_only_a_command_that_has_the_option_advises_it():
    with pytest.raises(RecipeError, match=r"REVEALED_VLLM_PYTHON=\S+$"):
        find_interpreter("/no/such/python")
    with pytest.raises(RecipeError, match=r"or `--python`$"):
        serve_until_told(Serving(Model("m", "m"), python="/no/such/python"), None, print)


def test_the_interpreter_is_the_one_given_or_named(python, monkeypatch):
    assert find_interpreter(python) == python
    monkeypatch.setenv("REVEALED_VLLM_PYTHON", python)
    assert find_interpreter() == python


def test_a_local_model_asks_nobody_and_another_interpreter_has_its_own_packages(python, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/of/ours")
    environment = prepare_environment(python, str(tmp_path))
    assert environment["HF_HUB_OFFLINE"] == environment["TRANSFORMERS_OFFLINE"] == environment["DO_NOT_TRACK"] == "1"
    assert "PYTHONPATH" not in environment
    assert prepare_environment(sys.executable, "some/name")["PYTHONPATH"] == "/of/ours"


@pytest.fixture
def recipe(tmp_path):
    def write(judge):
        path = tmp_path / "recipe.yaml"
        path.write_text(json.dumps({"name": "r", "inputs": [{"source": "wildchat", "path": "x"}], "judge": judge}))
        return path

    return write


def test_what_is_served_is_the_model_given_or_the_recipes(recipe, tmp_path):
    folder = tmp_path / "some-model"
    folder.mkdir()
    judge = {"kind": "server", "urls": ["http://127.0.0.1:8000/v1"], "model": "org/name", "revision": "v2"}
    assert choose_model("org/name", None) == Model("org/name", "org/name")
    assert choose_model(str(folder), None) == Model(str(folder), "some-model")
    assert choose_model(None, recipe(judge)) == Model("org/name", "org/name", "v2")
    assert choose_model(str(folder), recipe(judge)) == Model(str(folder), "org/name")
    assert choose_model(None, recipe({**judge, "model": "some-model"})) == Model(str(folder), "some-model")


def test_the_recipe_says_how_it_is_held_and_the_commands_options_win(python, recipe):
    judge = {"kind": "server", "urls": ["http://127.0.0.1:8000/v1"], "model": "fine"}
    path = recipe({**judge, "serve": {"dtype": "bfloat16", "max_model_len": 9000, "gpu_memory": 0.8}})
    command = [sys.executable, "-m", "flows.cli", "judge", "serve", "--recipe", str(path), "--python", python]
    command += ["--port", "0", "--dtype", "float32", "--tensor-parallel", "2"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(6)]
        url = yaml.safe_load("".join(lines))["judge"]["urls"][0]
        argv = httpx.get(url.removesuffix("/v1") + "/health", trust_env=False).json()["argv"]
        process.send_signal(signal.SIGTERM)
    held = {"--dtype=float32", "--max-model-len=9000", "--tensor-parallel-size=2", "--gpu-memory-utilization=0.8"}
    assert held <= set(argv)


def test_without_a_recipe_only_what_is_given_is_set():
    assert choose_settings(None, {"dtype": None, "gpu_memory": 0.5}) == {"gpu_memory": 0.5}


def test_nothing_to_serve_is_refused(recipe):
    with pytest.raises(RecipeError, match="--model"):
        choose_model(None, None)
    with pytest.raises(RecipeError, match="needs no server"):
        choose_model(None, recipe({"kind": "embedded"}))
