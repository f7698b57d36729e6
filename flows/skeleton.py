"""A new source, as files that run: in a checkout a module of its route in `miners`, elsewhere a package of its own."""

import keyword
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from miners.registry import list_sources
from schemas.errors import FatalError, RecipeError
from schemas.inputs import Route

SKELETONS: Mapping[Route, tuple[str, str]] = {
    Route.FORUMS: ("source.py", "test.py"),
    Route.WEB: ("corpus.py", "corpus_test.py"),
    Route.CHATS: ("chats.py", "chats_test.py"),
}
"""Of a source and of its test, by route."""

_SHORTEST, _LONGEST = 2, 40


def write_source(name: str, folder: Path, *, package: bool, route: Route = Route.FORUMS) -> list[Path]:
    """Write a source, its sample and its test; answers the files.

    folder: a checkout of this project, or where the package's folder is to be. package: write a package even in a
    checkout. Raises RecipeError for a name that cannot be one, FatalError where something is there already.
    """
    _check_name(name)
    inside = not package and (folder / "miners" / route).is_dir()
    planned = _plan_module(name, route) if inside else _plan_package(name, route)
    for path in (folder / path for path in planned):
        taken = next((other for other in (path, path.with_suffix("")) if other.exists()), None)
        if taken:
            raise FatalError(f"{taken}: exists already; expected a name that is free, or another --folder")
    module = f"miners.{route}.{name}" if inside else f"revealed_{name}"
    for path, skeleton in planned.items():
        text = files("flows").joinpath("skeletons", f"{skeleton}.txt").read_text(encoding="utf-8")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(Template(text).substitute(name=name, module=module), encoding="utf-8")
    return [folder / path for path in planned]


def _plan_module(name: str, route: Route) -> Mapping[Path, str]:
    source, test = SKELETONS[route]
    return {Path(f"miners/{route}/{name}.py"): source, Path(f"tests/miners/{route}/test_{name}.py"): test}


def _plan_package(name: str, route: Route) -> Mapping[Path, str]:
    top = Path(f"revealed-{name}")
    source, test = SKELETONS[route]
    return {
        top / "pyproject.toml": "pyproject.toml",
        top / f"revealed_{name}.py": source,
        top / "tests" / f"test_{name}.py": test,
    }


def _check_name(name: str) -> None:
    """Refuse what cannot be a module's name, or is a source's already."""
    sound = name.isascii() and name.isidentifier() and name == name.lower() and not name.startswith("_")
    if not sound or keyword.iskeyword(name) or not _SHORTEST <= len(name) <= _LONGEST:
        raise RecipeError(
            f"a source cannot be named `{name}`; expected {_SHORTEST} to {_LONGEST} small letters, digits and "
            "underscores that begin with a letter, and no word of Python's, such as `my_forum`"
        )
    if name in list_sources():
        raise RecipeError(f"a source named `{name}` exists already; `revealed sources` lists them all")
