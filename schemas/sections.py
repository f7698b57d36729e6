"""Sections: the parts that recipes are made of, how they are read, and how a fault in one is told."""

import json
from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import RecipeError, nearest

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of a recipe: immutable, and no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


Model = TypeVar("Model", bound=BaseModel)


def read_section(model: type[Model], path: Path) -> Model:
    """Read and check a YAML file; raises RecipeError with the file, the key and what would be right."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); expected a YAML recipe") from None
    return check(model, parse_yaml(text, str(path)), str(path))


def parse_yaml(text: str | bytes, where: str) -> object:
    """Parse YAML; raises RecipeError where it is none, with the line where that is known."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{where}: not YAML: {' '.join(str(error).split())}") from None


def check(model: type[Model], values: object, where: str) -> Model:
    """Validate values against a model; raises RecipeError that names the key, the fault and the nearest right key."""
    try:
        return model.model_validate_json(json.dumps(values))
    except ValidationError as error:
        found = [dict(item) for item in error.errors(include_url=False)]
        # A list that lost a faulty item is then "too short" as well: only the cause is worth a line.
        causes = [item for item in found if not any(_inside(item, other) for other in found)]
        lines = [_explain(model, item) for item in causes]
        raise RecipeError("\n".join(f"{where}: {line}" for line in lines[:5])) from None
    except TypeError as error:
        raise RecipeError(f"{where}: a recipe holds text, numbers, lists and mappings only; {error}") from None


def _inside(outer: dict[str, object], inner: dict[str, object]) -> bool:
    a, b = outer["loc"], inner["loc"]
    assert isinstance(a, tuple)
    assert isinstance(b, tuple)
    return len(a) < len(b) and b[: len(a)] == a


def _explain(model: type[BaseModel], item: dict[str, object]) -> str:
    location = item["loc"]
    assert isinstance(location, tuple)
    key = ".".join(str(part) for part in location)
    if item["type"] == "extra_forbidden":
        section = _section(model, location[:-1])
        return f"unknown key `{key}`; {nearest(str(location[-1]), section.model_fields)}"
    return f"`{key}`: {str(item['msg']).removeprefix('Value error, ')}" if key else str(item["msg"])


def _section(model: type[BaseModel], location: tuple[object, ...]) -> type[BaseModel]:
    """Find the model that a location stands in: `inputs.0` is an Entry."""
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            found = _models(model.model_fields[part].annotation)
            model = found[0] if found else model
    return model


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models(inner)]
