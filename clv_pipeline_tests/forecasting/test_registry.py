"""Models by name: ours, and those of modules beside clv.yaml."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clv_pipeline.config.settings import Extensions, Settings
from clv_pipeline.errors import ConfigError
from clv_pipeline.forecasting.registry import (
    MODELS,
    check_models,
    extension_files,
    known_models,
    models_of,
)
from clv_pipeline.pipeline import recipe

MINE = """
from my_package.helpers import Helper

class Mine(Helper):
    name = "mine"
    is_baseline = False

    def fit(self, ground):
        return ground

class Rule(Mine):
    name = "my_rule"
    is_baseline = True

class NoModel:
    name = "no model"
"""


@pytest.fixture(autouse=True)
def _modules_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("my_package", "my_module"):
            del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a package of two models."""
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helpers.py").write_text(
        "class Helper:\n    name = 'helper'\n    is_baseline = False\n    fit = print\n"
    )
    (package / "models.py").write_text(MINE)
    return tmp_path


def settings_of(folder: Path, *modules: str) -> Settings:
    """Settings of a clv.yaml in the folder."""
    transactions = {"path": "x.csv", "columns": {"customer_id": "c", "ordered_at": "d", "amount": "a"}}
    return Settings.from_mapping(
        {"source": {"transactions": transactions}, "extensions": {"models": list(modules)}},
        config_file=folder / "clv.yaml",
    )


def extensions(folder: Path, *modules: str) -> Extensions:
    return settings_of(folder, *modules).extensions


def test_the_default_models_exist(tmp_path: Path) -> None:
    check_models(settings_of(tmp_path).models)


def test_models_are_created_in_the_given_order() -> None:
    names = list(MODELS)[::-1]
    assert [model.name for model in models_of(names)] == names


def test_baselines_alone_may_be_configured() -> None:
    check_models([name for name, model in MODELS.items() if model.is_baseline])


def test_an_unknown_model_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'bgnbd'; did you mean 'bg_nbd'\?"):
        models_of(["own_rate", "bgnbd"])


def test_a_model_named_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="more than once: own_rate"):
        check_models(["own_rate", "bg_nbd", "own_rate"])


def test_a_module_beside_the_file_adds_the_models_that_it_defines(folder: Path) -> None:
    added = extensions(folder, "my_package.models")
    assert known_models(added).keys() - MODELS.keys() == {"mine", "my_rule"}
    mine, ours = models_of(["mine", "own_rate"], added)
    assert (type(mine).__module__, ours.name) == ("my_package.models", "own_rate")
    with pytest.raises(ConfigError, match="unknown model 'mime'; did you mean 'mine'"):
        check_models(["mime"], added)


def test_a_package_adds_the_models_of_its_modules_that_it_shows(folder: Path) -> None:
    (folder / "my_package" / "__init__.py").write_text("from my_package.models import Mine\n")
    assert known_models(extensions(folder, "my_package")).keys() - MODELS.keys() == {"mine"}


def test_what_is_installed_goes_before_the_folder(folder: Path) -> None:
    (folder / "json.py").write_text("raise RuntimeError('shadowed')")
    with pytest.raises(ConfigError, match="json defines no model"):
        known_models(extensions(folder, "json"))


def test_no_folder_is_searched_unless_it_is_needed(folder: Path) -> None:
    before = list(sys.path)
    known_models(extensions(folder))
    assert sys.path == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "import nothing_of_the_kind",
            "my_module cannot be imported .ModuleNotFoundError: No module named 'nothing_of",
        ),
        ("1 / 0", "my_module cannot be imported .ZeroDivisionError"),
        ("from my_package.models import Mine", "my_module defines no model"),
        (MINE.replace('"mine"', '"bg_nbd"'), "my_module.Mine: the name bg_nbd is taken"),
    ],
)
def test_an_extension_that_is_of_no_use_is_told(folder: Path, text: str, told: str) -> None:
    (folder / "my_module.py").write_text(text)
    with pytest.raises(ConfigError, match=f"extensions.models: {told}"):
        check_models(["own_rate"], extensions(folder, "my_module"))


def test_a_module_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"my_package\.mdels cannot be imported \(ModuleNotFoundError"):
        check_models(["own_rate"], extensions(folder, "my_package.mdels"))


def test_tables_are_built_anew_when_any_file_of_an_extension_changes(folder: Path) -> None:
    settings = settings_of(folder, "my_package.models")
    names = [path.name for path in extension_files(settings.extensions)]
    assert names == ["__init__.py", "helpers.py", "models.py"]
    before = recipe(settings)
    assert recipe(settings) == before != recipe(settings_of(folder))
    with (folder / "my_package" / "helpers.py").open("a") as file:
        file.write("# changed\n")
    assert recipe(settings) != before
