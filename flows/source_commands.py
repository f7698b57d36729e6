"""What the commands about a single source do: new, sample, check."""

import os
import sys
from pathlib import Path

import click

from flows.conformance.findings import describe_error
from flows.conformance.kit import check_source
from flows.conformance.report import lay_out_conformance
from flows.pages import open_console
from flows.skeleton import write_source
from miners.registry import find_source
from miners.source import Source
from schemas.errors import FatalError, RecipeError, RevealedError
from schemas.fingerprints import Json
from schemas.inputs import Route
from schemas.sections import parse_yaml


def start_source(name: str, folder: Path, *, package: bool, route: str) -> None:
    """Write a new source's files, and say what to do next."""
    try:
        written = write_source(name, folder, package=package, route=Route(route))
    except OSError as error:
        raise FatalError(f"{folder}: cannot be written ({error.strerror}); expected a folder that can be") from None
    for path in written:
        click.echo(f"wrote {path}")
    if written[0].name == "pyproject.toml":
        click.echo(f"next: pip install -e {written[0].parent}, and then revealed source check {name}")
    else:
        click.echo(f"next: fit it to the data, and run revealed source check {name}")


def write_sample(name: str, folder: Path, threads: int) -> None:
    """Write a source's sample into a folder, and say where it is."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FatalError(f"{folder}: holds something already; expected an empty folder")
        click.echo(find_source(name).sample(folder, threads))
    except OSError as error:
        raise FatalError(f"{folder}: cannot be written ({error.strerror}); expected a folder that can be") from None


def check_and_show(name: str, path: str | None, options: str) -> None:
    """Check a source and show what was found; exits with code 1 where something failed. options: YAML."""
    source = _load(name)
    if path is not None and "://" not in path:
        path = os.path.abspath(path)  # noqa: PTH100 (it may be a pattern)
    conformance = check_source(source, path, _read_options(options))
    open_console().print(lay_out_conformance(conformance), soft_wrap=True)
    if conformance.failed:
        sys.exit(1)


def _load(name: str) -> Source:
    """Find a source; whatever its module raises when it is imported is said in one line."""
    try:
        return find_source(name)
    except RevealedError:
        raise
    except Exception as error:  # noqa: BLE001 (a stranger's module)
        found = describe_error(error, str(Path.cwd()))
        raise FatalError(f"{found.where}: {found.what}; expected modules of sources that can be imported") from None


def _read_options(text: str) -> dict[str, Json]:
    values = parse_yaml(text, "--options") or {}
    if not isinstance(values, dict):
        raise RecipeError(f"--options: {text} is no mapping; expected the source's options, such as '{{key: value}}'")
    return values
