"""What a user may write into clv.yaml, and what they are told when it is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import ConfigError
from clv_pipeline_tests.config.files import MINIMAL, error_of, load, with_block


def test_defaults_are_those_of_the_design(tmp_path: Path) -> None:
    settings = load(tmp_path, MINIMAL)
    assert settings.source.transactions.path == ["orders/*.csv"]
    assert settings.cleaning.model_dump() == {
        "deduplicate": True,
        "returns": "net",
        "exclude_products": [],
        "anonymous_ids": [],
        "outliers": "keep",
    }
    assert settings.forecast.model_dump() == {
        "as_of": "latest",
        "horizons_days": [30, 90, 180, 365],
        "annual_discount_rate": 0.10,
        "margin": 1.0,
        "interval_level": 0.8,
    }
    assert settings.models == [
        *("own_rate", "last_window", "same_window_last_year", "hiatus"),
        *("pareto_nbd", "hybrid"),
    ]
    assert settings.backtest.model_dump() == {"origins": 13, "cutoffs": None}
    assert settings.extensions.models == []
    assert settings.notices == []
    assert settings.schedule.model_dump() == {"cron": "0 2 * * *", "review_cron": "0 4 * * 0", "timezone": "UTC"}
    assert settings.storage.model_dump() == {
        "home": "data",
        "engine": "duckdb",
        "spark": {"remote": "local[*]", "config": {}},
        "catalog": {
            "type": "hadoop",
            "uri": None,
            "warehouse": None,
            "namespace": "clv",
            "properties": {},
            "keep_days": 7,
        },
        "keep_versions": 5,
        "wait_minutes": 60,
        "memory_gb": None,
        "spill_gb": None,
        "threads": None,
        "history_days": 30,
    }
    assert not settings.alerts.configured
    assert settings.owners == []


def test_the_file_is_the_argument_else_the_environment_else_here_else_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = Settings.load()
    assert (embedded.config_file, embedded.base_dir) == (None, tmp_path)
    assert embedded.source.transactions.path == ["lifetimes:CDNOW_master.txt"]
    assert embedded.cleaning.deduplicate is False
    (tmp_path / "clv.yaml").write_text(MINIMAL)
    assert Settings.load().config_file == tmp_path / "clv.yaml"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "other.yaml").write_text(MINIMAL)
    monkeypatch.setenv("CLV_CONFIG", "folder/other.yaml")
    assert Settings.load().config_file == tmp_path / "folder" / "other.yaml"
    assert Settings.load().base_dir == tmp_path / "folder"
    assert Settings.load(Path("clv.yaml")).config_file == tmp_path / "clv.yaml"


def test_a_configuration_that_does_not_exist_is_an_error_and_no_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLV_CONFIG", "missing.yaml")
    with pytest.raises(ConfigError, match=r"missing.yaml \(named by CLV_CONFIG\): cannot be read"):
        Settings.load()


def test_home_is_absolute_starts_here_and_is_overridden_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(tmp_path, with_block(storage={"home": "warehouse/x"}))
    monkeypatch.chdir("/")
    assert settings.home == tmp_path / "warehouse" / "x"
    assert settings.warehouse_path == settings.home / "warehouse" / "clv.duckdb"
    assert settings.published_dir == settings.home / "published"
    monkeypatch.setenv("CLV_HOME", str(tmp_path / "elsewhere"))
    assert load(tmp_path, with_block(storage={"keep_versions": 2})).home == tmp_path / "elsewhere"
    assert load(tmp_path, with_block(storage={"keep_versions": 2})).storage.keep_versions == 2


def test_the_hash_is_of_what_is_computed_not_of_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = load(tmp_path, MINIMAL).config_hash
    assert len(plain) == 64
    assert load(tmp_path, with_block(storage={"home": "/else"})).config_hash == plain
    assert load(tmp_path, MINIMAL + "# a comment\n").config_hash == plain
    assert load(tmp_path, with_block(forecast={"margin": 0.5})).config_hash != plain
    database = MINIMAL.replace("path: orders/*.csv", "url: postgresql://me:${PW}@host/shop\n    query: SELECT 1")
    hashes = set()
    for password in ("old", "n@w?#"):
        monkeypatch.setenv("PW", password)
        hashes.add(load(tmp_path, database).config_hash)
    assert len(hashes) == 1


def test_every_mistake_is_told_at_once_with_key_expectation_and_find(tmp_path: Path) -> None:
    error = error_of(
        tmp_path,
        with_block(
            forecast={"horizon_days": [1], "margin": 3, "as_of": "yesterday", "horizons_days": [30, 0]},
            cleening={},
            cleaning={"returns": "keep", "exclude_products": [85123, False]},
            schedule={"cron": 5, "timezone": "Mars/Olympus"},
            models=[],
            backtest={"origins": 0, "folds": 0},
            extensions={"models": ["my_package.models", "../models.py"]},
        ),
    )
    for line in (
        "forecast.horizon_days: unknown key; did you mean 'horizons_days'?",
        "forecast.margin: should be less than or equal to 1; found 3",
        "forecast.as_of: should be latest, today or a day such as 2011-09-01; found 'yesterday'",
        "forecast.horizons_days[1]: should be greater than 0; found 0",
        "cleening: unknown key; did you mean 'cleaning'?",
        "cleaning.returns: should be 'net' or 'drop'; found 'keep'",
        "cleaning.exclude_products[0]: should be a valid string; found 85123; write it in quotes",
        "cleaning.exclude_products[1]: should be a valid string; found False; write it in quotes",
        "schedule.cron: should be a valid string; found 5; write it in quotes",
        "schedule.timezone: should be a timezone such as UTC or Europe/Berlin; found 'Mars/Olympus'",
        "models: List should have at least 1 item",
        "backtest.origins: should be greater than or equal to 1; found 0",
        "backtest.folds: unknown key (known here: origins, cutoffs)",
        "extensions.models: should name modules such as my_package.models; found '../models.py'",
    ):
        assert f"  {line}" in error
    assert error.startswith(f"{tmp_path / 'my.yaml'}:\n")


def test_days_and_horizons_are_normalised(tmp_path: Path) -> None:
    for day in (date(2011, 9, 1), "2011-09-01"):
        assert load(tmp_path, with_block(forecast={"as_of": day})).forecast.as_of == date(2011, 9, 1)
    assert load(tmp_path, with_block(forecast={"horizons_days": [90, 30]})).forecast.horizons_days == [30, 90]
    assert "each horizon once" in error_of(tmp_path, with_block(forecast={"horizons_days": [30, 30]}))
    assert "each model once" in error_of(tmp_path, with_block(models=["bg_nbd", "bg_nbd"]))


def test_an_owner_is_an_email_address_or_a_team(tmp_path: Path) -> None:
    owners = ["team:marketing", "ann.lee@shop.example.com"]
    assert load(tmp_path, with_block(owners=owners)).owners == owners
    for wrong in ("marketing", "team:", "ann@", "ann@shop", "a b@shop.com"):
        told = error_of(tmp_path, with_block(owners=[wrong]))
        assert f"owners: {wrong!r} should be an email address, or team: and a name such as team:marketing" in told


def test_settings_do_not_change(tmp_path: Path) -> None:
    settings = load(tmp_path, MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        settings.forecast.margin = 0.5


def test_importing_settings_loads_nothing_heavy() -> None:
    code = (
        "import sys, clv_pipeline.config.settings as s; s.Settings.load(); "
        "print([m for m in ('dagster', 'pandas', 'polars', 'duckdb', 'numpy', 'lifetimes') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert done.stdout.strip() == "[]"


def test_backtest_cutoffs_are_days_each_named_once(tmp_path: Path) -> None:
    settings = load(tmp_path, with_block(backtest={"cutoffs": ["2011-03-09", date(2011, 6, 9)]}))
    assert settings.backtest.cutoffs == [date(2011, 3, 9), date(2011, 6, 9)]
    twice = error_of(tmp_path, with_block(backtest={"cutoffs": ["2011-03-09", "2011-03-09"]}))
    assert "backtest.cutoffs: should name each day once" in twice


def test_extensions_are_modules_each_named_once_and_looked_for_beside_the_file(tmp_path: Path) -> None:
    extensions = load(tmp_path, with_block(extensions={"models": ["mine", "my_package.models"]})).extensions
    assert (extensions.models, extensions.folder) == (["mine", "my_package.models"], tmp_path)
    twice = error_of(tmp_path, with_block(extensions={"models": ["mine", "mine"]}))
    assert "extensions.models: should name each module once" in twice


def test_a_folder_of_sql_is_relative_to_the_file_and_builds_no_other_table_anew(tmp_path: Path) -> None:
    settings, without = load(tmp_path, with_block(extensions={"sql": "my_sql/"})), load(tmp_path, MINIMAL)
    assert (settings.extensions.sql_folder, without.extensions.sql_folder) == (tmp_path / "my_sql", None)
    assert settings.recipe_hash == without.recipe_hash
    assert settings.config_hash != without.config_hash


def test_gates_have_severities_and_accepted_days(tmp_path: Path) -> None:
    gates = load(
        tmp_path, with_block(gates={"rows": "warn", "accepted_days": ["2011-12-26", date(2011, 12, 27)]})
    ).gates
    assert (gates.rows, gates.hours, gates.revenue) == ("warn", "error", "warn")
    assert gates.accepted_days == [date(2011, 12, 26), date(2011, 12, 27)]
    wrong = error_of(tmp_path, with_block(gates={"rows": "loud", "accepted_days": ["Christmas"]}))
    assert re.search("gates.rows: should be .*'error', 'warn' or 'ignore'", wrong)
    assert "gates.accepted_days" in wrong


def test_an_accepted_day_builds_no_table_anew(tmp_path: Path) -> None:
    accepted = load(tmp_path, with_block(gates={"accepted_days": ["2011-12-26"]}))
    assert accepted.recipe_hash == load(tmp_path, MINIMAL).recipe_hash


def test_another_engine_builds_every_table_anew_and_publishes_the_same(tmp_path: Path) -> None:
    spark, duckdb = load(tmp_path, with_block(storage={"engine": "spark"})), load(tmp_path, MINIMAL)
    assert spark.recipe_hash != duckdb.recipe_hash
    assert spark.config_hash == duckdb.config_hash


def test_tables_of_spark_are_below_home_unless_a_catalog_is_named(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL).lake == (load(tmp_path, MINIMAL).home / "lake").as_uri()
    catalog = {"type": "rest", "uri": "https://catalog.internal", "warehouse": "s3://lake/clv"}
    assert load(tmp_path, with_block(storage={"engine": "spark", "catalog": catalog})).lake == "s3://lake/clv"


@pytest.mark.parametrize(
    ("catalog", "told"),
    [
        ({"type": "rest"}, "needs `uri`"),
        ({"type": "jdbc", "uri": "jdbc:sqlite:x"}, "needs `warehouse`"),
        ({"namespace": "a.b"}, "storage.catalog.namespace"),
        ({"properties": {"s3.secret-access-key": "abc"}}, "holds a secret as text"),
    ],
)
def test_a_catalog_that_cannot_be_reached_or_holds_a_secret_is_refused(
    tmp_path: Path, catalog: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        load(tmp_path, with_block(storage={"engine": "spark", "catalog": catalog}))


def test_the_folder_of_tables_of_an_earlier_version_is_read_with_a_notice(tmp_path: Path) -> None:
    named = load(tmp_path, with_block(storage={"engine": "spark", "spark": {"tables": "/mnt/clv"}}))
    assert named.earlier_tables_dir == Path("/mnt/clv")
    assert "storage.spark.tables: is no longer a key" in named.notices[0]
    assert load(tmp_path, MINIMAL).earlier_tables_dir == load(tmp_path, MINIMAL).home / "tables"


def test_what_contacts_cost_has_defaults_and_builds_no_table_anew_that_does_not_read_it(tmp_path: Path) -> None:
    usual = load(tmp_path, MINIMAL)
    assert usual.contact_costs.model_dump() == {"email": 0.05, "letter": 1.5, "telephone": 8.0}
    dear = load(tmp_path, with_block(contact_costs={"telephone": 25}))
    assert dear.contact_costs.model_dump() == {"email": 0.05, "letter": 1.5, "telephone": 25.0}
    assert dear.recipe_hash == usual.recipe_hash
    assert dear.config_hash != usual.config_hash


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"email": -1}, "contact_costs.email: .* greater than or equal to 0"),
        ({"email": 0.001}, "contact_costs.email: should have at most two decimal places"),
        ({"letter": 9}, "contact_costs: a letter should cost at least as much as an e-mail, and a telephone call"),
        ({"fax": 1}, "contact_costs.fax: unknown key"),
    ],
)
def test_costs_of_contacts_that_cannot_be_are_refused(tmp_path: Path, wrong: dict[str, float], said: str) -> None:
    assert re.search(said, error_of(tmp_path, with_block(contact_costs=wrong)))


CAMPAIGN = {"budget": 1000, "cost_per_contact": 2.5, "assumed_uplift": 0.05}


def test_no_campaign_is_planned_unless_it_is_configured(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL).campaign is None
    campaign = load(tmp_path, with_block(campaign=CAMPAIGN)).campaign
    assert campaign is not None
    assert campaign.model_dump() == CAMPAIGN


def test_a_campaign_builds_no_table_anew_that_does_not_read_it(tmp_path: Path) -> None:
    planned, none = load(tmp_path, with_block(campaign=CAMPAIGN)), load(tmp_path, MINIMAL)
    assert planned.recipe_hash == none.recipe_hash
    assert planned.config_hash != none.config_hash


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"assumed_uplift": 5}, "campaign.assumed_uplift: .* less than or equal to 1"),
        ({"assumed_uplift": 0}, "campaign.assumed_uplift: .* greater than or equal to"),
        ({"cost_per_contact": 0}, "campaign.cost_per_contact: .* greater than or equal to 0.01"),
        ({"budget": -1}, "campaign.budget: .* greater than or equal to 0.01"),
        ({"uplift": 0.1}, "campaign.uplift: unknown key.*assumed_uplift"),
    ],
)
def test_a_campaign_that_cannot_be_is_refused(tmp_path: Path, wrong: dict[str, float], said: str) -> None:
    assert re.search(said, error_of(tmp_path, with_block(campaign=CAMPAIGN | wrong)))


def test_a_campaign_needs_all_of_its_figures(tmp_path: Path) -> None:
    text = error_of(tmp_path, with_block(campaign={"budget": 1000}))
    assert "campaign.cost_per_contact" in text
    assert "campaign.assumed_uplift" in text


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("forecast: {as_of: 9999-12-31}", "forecast.as_of: should be a day from 1900-01-01 to 2199-12-31"),
        ("forecast: {as_of: 0001-01-01}", "forecast.as_of: should be a day from"),
        ("forecast: {horizons_days: [1000000000]}", "forecast.horizons_days[0]: should be less than or equal to 3653"),
        ("storage: {home: 'my?shop'}", "storage.home: "),
    ],
)
def test_what_no_run_could_end_with_is_refused(tmp_path: Path, lines: str, told: str) -> None:
    assert told in error_of(tmp_path, f"{MINIMAL}\n{lines}\n")


@pytest.mark.parametrize("locale", ["xx-XX", "de_DE", "de", "DE-de", "de-DE.UTF-8", "de-JP", "deutsch", ""])
def test_a_locale_that_nobody_has_is_refused(tmp_path: Path, locale: str) -> None:
    error = error_of(tmp_path, with_block(display={"locale": locale}))
    expected = "  display.locale: should be a language and a country such as en-US or de-DE; found "
    assert f"{expected}{locale!r}" in error


def test_an_unknown_timezone_of_the_pages_is_refused(tmp_path: Path) -> None:
    error = error_of(tmp_path, with_block(display={"timezone": "Berlin", "language": "de"}))
    assert "  display.timezone: should be a timezone such as UTC or Europe/Berlin; found 'Berlin'" in error
    assert "  display.language: unknown key" in error


@pytest.mark.parametrize("locale", ["de-DE", "ja-JP", "ar-EG", "sr-Latn-RS", "es-419", "de-CH"])
def test_locales_of_many_countries_are_known(tmp_path: Path, locale: str) -> None:
    assert load(tmp_path, with_block(display={"locale": locale})).display.locale == locale


def test_how_pages_are_written_changes_no_table(tmp_path: Path) -> None:
    german = with_block(display={"locale": "de-DE", "timezone": "Europe/Berlin"})
    assert load(tmp_path, german).recipe_hash == load(tmp_path, MINIMAL).recipe_hash
