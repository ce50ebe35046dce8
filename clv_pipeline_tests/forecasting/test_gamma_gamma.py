import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.forecasting import gamma_gamma
from clv_pipeline_tests.helpers.forecast_examples import customers_frame


def repeat_spend(frequency: list[int], monetary_value: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {"frequency": frequency, "monetary_value": monetary_value, "customers": [1] * len(frequency)},
        schema={"frequency": pl.Int64, "monetary_value": pl.Float64, "customers": pl.Int64},
    )


def drawn(p: float, q: float, v: float, n: int = 3000) -> pl.DataFrame:
    rng = np.random.default_rng(4)
    x = rng.integers(1, 12, n)
    return repeat_spend(x.tolist(), rng.gamma(p * x, 1.0 / (x * rng.gamma(q, 1.0 / v, n))).tolist())


def test_parameters_are_recovered_whatever_the_currency() -> None:
    data = drawn(4.0, 3.0, 50.0)
    found = gamma_gamma.fit(data)
    assert found.verdict == "ok"
    found_q = found.parameters["q"]
    assert found_q == pytest.approx(3.0, abs=3 * found.standard_errors["q"])
    yen = gamma_gamma.fit(data.with_columns(pl.col("monetary_value") * 1000.0))
    assert yen.parameters["q"] == pytest.approx(found_q, rel=1e-4)
    assert yen.parameters["v"] == pytest.approx(1000.0 * found.parameters["v"], rel=1e-4)
    assert yen.standard_errors["v"] == pytest.approx(1000.0 * found.standard_errors["v"], rel=1e-3)


def test_the_conditional_mean_is_equation_5_of_note_025() -> None:
    found = gamma_gamma.fit(drawn(4.0, 3.0, 50.0))
    p, q, v = (found.parameters[name] for name in ("p", "q", "v"))
    customers = customers_frame([0, 2, 9], [0, 5, 5], [9, 9, 9], [0.0, 10.0, 80.0])
    x, m = np.array([0, 2, 9]), np.array([0.0, 10.0, 80.0])
    share = (q - 1) / (p * x + q - 1)
    expected = share * p * v / (q - 1) + (1 - share) * m
    np.testing.assert_allclose(found.model.conditional_mean(customers), expected, rtol=1e-12)


def test_without_a_finite_mean_the_observed_one_serves_and_the_notes_say_so() -> None:
    found = gamma_gamma.fit(drawn(4.0, 0.7, 50.0))
    assert found.verdict == "degenerate"
    assert "no finite population mean (q = 0." in found.notes
    assert found.model.pseudo_purchases == 1.0
    assert list(found.parameters) == ["independence_correlation"]


def test_no_repeat_buyer_means_each_ones_own_spend() -> None:
    found = gamma_gamma.fit(repeat_spend([], []))
    assert (found.verdict, found.model.mean_spend) == ("no_training_data", None)
    customers = customers_frame([0, 3], [0, 5], [9, 9], [0.0, 40.0])
    assert found.model.conditional_mean(customers).tolist() == [20.0, (3 * 40.0 + 20.0) / 4]


def test_the_independence_assumption_is_measured_and_told() -> None:
    data = repeat_spend([1, 2, 3, 4, 5], [10.0, 20.0, 30.0, 40.0, 50.0])
    assert gamma_gamma.independence_correlation(data) == pytest.approx(1.0)
    assert "their correlation is +1.000" in gamma_gamma.fit(data).notes
    assert gamma_gamma.independence_correlation(repeat_spend([2, 2], [10.0, 20.0])) is None


def test_a_right_fit_has_one_percent_of_mean_spends_in_the_last_percent_of_its_tail() -> None:
    data = drawn(4.0, 3.0, 50.0)
    share, p_value = gamma_gamma.tail_test({"p": 4.0, "q": 3.0, "v": 50.0}, data)
    assert share == pytest.approx(0.01, abs=0.004)
    assert p_value > 0.05
    found = gamma_gamma.fit(data)
    assert "Tail of spend: mean and variance are finite" in found.notes
    assert "as the model expects" in found.notes


def test_a_few_spends_that_the_model_cannot_explain_are_found_in_the_tail() -> None:
    usual = drawn(4.0, 8.0, 50.0, n=1000)
    wholesalers = repeat_spend([5] * 40, [60.0 + i for i in range(40)])
    share, p_value = gamma_gamma.tail_test({"p": 4.0, "q": 8.0, "v": 50.0}, pl.concat([usual, wholesalers]))
    assert share > 0.03
    assert p_value < 1e-6
    none_share, none_p_value = gamma_gamma.tail_test({"p": 4.0, "q": 8.0, "v": 500.0}, usual)
    assert none_share == 0.0
    assert none_p_value < 0.01
    mixed = pl.concat([usual, repeat_spend([12] * 40, [2000.0] * 40)])
    assert "unlike the model" in gamma_gamma.fit(mixed).notes


def test_customers_weigh_as_many_times_as_they_are_in_the_tail() -> None:
    data = drawn(4.0, 3.0, 50.0, n=300)
    parameters = {"p": 4.0, "q": 3.0, "v": 40.0}
    tripled = data.with_columns(pl.col("customers") * 3)
    assert gamma_gamma.tail_test(parameters, tripled) == gamma_gamma.tail_test(parameters, pl.concat([data] * 3))


def test_a_variance_that_may_be_infinite_is_told() -> None:
    assert "heavy, the variance is infinite (q = 1." in gamma_gamma.fit(drawn(4.0, 1.6, 50.0)).notes
    assert "heavy, the variance may be infinite (q = 2." in gamma_gamma.fit(drawn(4.0, 2.1, 50.0, n=600)).notes


def test_the_order_of_customers_does_not_matter() -> None:
    data = drawn(4.0, 3.0, 50.0, n=300)
    assert gamma_gamma.fit(data.reverse()) == gamma_gamma.fit(data)


@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(0.01, 1e6), st.integers(1, 5)), min_size=1, max_size=12))
@settings(max_examples=4)
def test_any_spend_gives_a_finite_mean_and_says_what_serves(rows: list[tuple[int, float, int]]) -> None:
    found = gamma_gamma.fit(pl.DataFrame(rows, schema=["frequency", "monetary_value", "customers"], orient="row"))
    customers = customers_frame([0, 1], [0, 5], [9, 9], [0.0, 1e6])
    spend = found.model.conditional_mean(customers)
    assert np.isfinite(spend).all()
    assert (spend > 0).all()
    if found.verdict != "ok":
        assert "serves" in found.notes or "used" in found.notes


def test_rows_that_are_not_repeat_buyers_are_refused() -> None:
    with pytest.raises(ValueError, match="repeat buyers"):
        gamma_gamma.fit(repeat_spend([0], [10.0]))


@given(st.tuples(*[st.floats(-3.0, 3.0)] * 3))
@settings(max_examples=50)
def test_the_gradient_is_that_of_the_log_likelihood(logs: tuple[float, float, float]) -> None:
    x, m = np.array([1.0, 4.0, 90.0]), np.array([0.02, 1.3, 40.0])
    gradient = gamma_gamma.log_likelihood_and_gradient(np.exp(logs), x, m)[1]
    for place, step in enumerate(1e-4 * np.eye(3)):
        up, down = (gamma_gamma.log_likelihood_and_gradient(np.exp(logs + s * step), x, m)[0] for s in (1, -1))
        np.testing.assert_allclose(np.exp(logs[place]) * gradient[place], (up - down) / 2e-4, rtol=1e-5, atol=1e-5)
