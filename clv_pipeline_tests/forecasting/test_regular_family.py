"""The family of regular buyers: its k comes from the customers of today, and each k is a process of its own."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from clv_pipeline.forecasting.families import RegularNbdPath
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.regular_nbd import RegularNbd
from clv_pipeline.simulation.processes import ParetoNbdProcess
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, shop


@pytest.mark.parametrize(("regularity", "least", "most"), [(1, 1, 1), (6, 4, 8)])
def test_k_is_as_the_customers_buy(regularity: int, least: int, most: int) -> None:
    days = shop(600, process=ParetoNbdProcess(regularity=regularity))
    report = RegularNbdPath().fit(Ground(days.training(CUTOFF))).report
    assert least <= report.parameters["process"]["k"] <= most
    assert set(report.parameters["process"]) == {"k", "r", "alpha", "a", "b"}
    assert report.verdict == "ok"


def test_without_customers_of_today_nothing_is_known_of_their_rhythm() -> None:
    days = shop(600, process=ParetoNbdProcess(regularity=6))
    training = replace(days.training(CUTOFF), current_customers=pl.DataFrame())
    assert RegularNbdPath().process(Ground(training)) == RegularNbd(1)


def test_a_process_of_another_k_is_another_process() -> None:
    one = Ground(shop(200).training(CUTOFF))
    two, three = (one.process(RegularNbd(k)) for k in (2, 3))
    assert one.process(RegularNbd(2)) is two
    assert two.parameters != three.parameters
