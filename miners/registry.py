"""The door through which sources come in: modules of `miners`, and installed packages by entry point."""

import importlib
import pkgutil
from collections.abc import Iterator
from importlib.metadata import entry_points
from types import ModuleType

from miners.source import Source
from schemas.errors import FatalError, RecipeError, nearest

_ROUTES = ("miners.forums", "miners.web", "miners.chats")
_GROUP = "revealed.sources"


def list_sources() -> dict[str, Source]:
    """Find every source, sorted by name. A module or package `miners.ROUTE.NAME` is one if it has a `SOURCE`."""
    found: dict[str, Source] = {}
    for origin, source in [*_built_in(), *_installed()]:
        if found.setdefault(source.name, source) is not source:
            raise FatalError(f"{origin}: a source named `{source.name}` exists already; expected another name")
    return dict(sorted(found.items()))


def find_source(name: str) -> Source:
    """Look a source up; raises RecipeError with the nearest right name."""
    sources = list_sources()
    if name not in sources:
        raise RecipeError(f"unknown source `{name}`; {nearest(name, sources)}")
    return sources[name]


def _built_in() -> Iterator[tuple[str, Source]]:
    for route in _ROUTES:
        package: ModuleType = importlib.import_module(route)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                name = f"{route}.{module.name}"
                source = getattr(importlib.import_module(name), "SOURCE", None)
                if isinstance(source, Source):
                    yield name, source


def _installed() -> Iterator[tuple[str, Source]]:
    for point in entry_points(group=_GROUP):
        source = point.load()
        if not isinstance(source, Source):
            raise FatalError(f"{point.value}: expected a miners.source.Source, got {type(source).__name__}")
        yield point.value, source
