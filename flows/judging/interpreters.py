"""Interpreters: vLLM lives in an environment of its own.

The two cannot share one: vLLM 0.32 wants fastapi below 0.137, and Prefect 3.8 wants 0.139 or later.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from schemas.errors import RecipeError

VARIABLE = "REVEALED_VLLM_PYTHON"
"""Environment variable that names the interpreter which has vLLM."""

_ASK = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
_ASK_SECONDS = 60
_QUIET = {"DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
_ADVICE = (
    "expected an interpreter that has vLLM: `python3 -m venv vllm-env && vllm-env/bin/pip install vllm`, "
    f"then {VARIABLE}=vllm-env/bin/python"
)


def find_interpreter(python: str | Path | None = None, *, option: str | None = None) -> str:
    """Find an interpreter that has vLLM: the one given, or named by REVEALED_VLLM_PYTHON, else this one.

    option: of the command that asks, which names an interpreter too. Raises RecipeError, with how to make one, where it
    has none.
    """
    advice = f"{_ADVICE}, or `{option}`" if option else _ADVICE
    asked = str(python or os.environ.get(VARIABLE) or sys.executable)
    found = shutil.which(asked)
    if found is None:
        raise RecipeError(f"{asked}: there is no such program; {advice}")
    path = str(Path(found).absolute())  # not resolved: a link tells which environment it is
    try:
        has = subprocess.run([path, "-c", _ASK], env=_foreign(path), timeout=_ASK_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RecipeError(f"{path}: it does not run ({error}); {advice}") from None
    if has.returncode:
        raise RecipeError(f"{path}: it has no vLLM; {advice}")
    return path


def prepare_environment(python: str, model: str) -> dict[str, str]:
    """Prepare the environment variables in which `python` runs vLLM: no telemetry; a local model asks nobody."""
    return {**_foreign(python), **_QUIET, **(_OFFLINE if Path(model).is_dir() else {})}


def _foreign(python: str) -> dict[str, str]:
    """Give our environment without what would lead another interpreter to our packages."""
    own = set() if python == sys.executable else {"PYTHONPATH", "PYTHONHOME"}
    return {name: value for name, value in os.environ.items() if name not in own}
