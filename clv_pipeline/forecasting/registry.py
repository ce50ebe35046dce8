"""The names under which models are configured: families, baselines, and models of extensions.

New families of this package go into `FAMILIES`, baselines into `BASELINES`. A model from outside is added by naming its
module in `extensions.models`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from clv_pipeline.errors import ConfigError, did_you_mean
from clv_pipeline.forecasting.baselines import BASELINES
from clv_pipeline.forecasting.families import FAMILIES
from clv_pipeline.forecasting.protocol import Model

if TYPE_CHECKING:
    from clv_pipeline.config.settings import Extensions

_OURS: tuple[type[Model], ...] = (*BASELINES, *FAMILIES)

MODELS: Mapping[str, type[Model]] = {model.name: model for model in _OURS}
"""The models of this package by name, baselines first."""


def known_models(extensions: Extensions | None = None) -> dict[str, type[Model]]:
    """All models that can be configured, by name: those of this package and of the extensions.

    Raises:
        ConfigError: an extension defines no model, or uses a name that is taken.
    """
    known = dict(MODELS)
    for name in extensions.models if extensions is not None else ():
        module = _imported(name, extensions.folder if extensions is not None else None)
        found = list(_defined_in(module))
        if not found:
            raise ConfigError(f"extensions.models: {name} defines no model: no class with a name, is_baseline and fit")
        for model in found:
            if model.name in known:
                raise ConfigError(f"extensions.models: {name}.{model.__name__}: the name {model.name} is taken")
            known[model.name] = model
    return known


def models_of(names: Sequence[str], extensions: Extensions | None = None) -> list[Model]:
    """Create the named models in the given order.

    Raises:
        ConfigError: a name is unknown or repeated.
    """
    known = known_models(extensions)
    for name in names:
        if name not in known:
            raise ConfigError(f"unknown model {name!r}{did_you_mean(name, known)}", to_do=f"known: {', '.join(known)}")
    if repeated := sorted({name for name in names if list(names).count(name) > 1}):
        raise ConfigError(f"models named more than once: {', '.join(repeated)}")
    return [known[name]() for name in names]


def check_models(names: Sequence[str], extensions: Extensions | None = None) -> None:
    """Check the names of models and the extensions.

    Raises:
        ConfigError: a name is unknown or repeated, or an extension adds no model.
    """
    models_of(names, extensions)


def extension_files(extensions: Extensions) -> list[Path]:
    """The Python files of the extensions: a module, or the whole package that contains it."""
    files: set[Path] = set()
    for name in extensions.models:
        package = sys.modules[_imported(name, extensions.folder).__name__.partition(".")[0]]
        folders = [Path(folder) for folder in getattr(package, "__path__", ())]
        files.update(path for folder in folders for path in folder.rglob("*.py"))
        if not folders and package.__file__ is not None:
            files.add(Path(package.__file__))
    return sorted(files)


def _imported(name: str, folder: Path | None) -> ModuleType:
    """The module; `folder` is searched, too, after all other places.

    Raises:
        ConfigError: the module cannot be imported.
    """
    if folder is not None and importlib.util.find_spec(name.partition(".")[0]) is None:
        sys.path.append(str(folder))
        importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except Exception as error:  # Whatever foreign code raises on import, the user has to fix.
        raise ConfigError(
            f"extensions.models: {name} cannot be imported", quoted=f"{type(error).__name__}: {error}"
        ) from error


def _defined_in(module: ModuleType) -> Iterator[type[Model]]:
    """The models among the classes that the module or a submodule defines; imported classes do not count."""
    classes: list[tuple[str, Any]] = inspect.getmembers(module, inspect.isclass)
    for _, value in classes:
        if (
            f"{value.__module__}.".startswith(f"{module.__name__}.")
            and isinstance(getattr(value, "name", None), str)
            and isinstance(getattr(value, "is_baseline", None), bool)
            and callable(getattr(value, "fit", None))
            and not inspect.isabstract(value)
        ):
            yield value
