"""Frames of a shop without money: the same purchases, every amount null."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import polars as pl
from polars import selectors

from clv_pipeline.forecasting.protocol import TrainingData

_MONEY = selectors.contains("spend") | selectors.by_name("revenue", "monetary_value", require_all=False)


def without_money(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with nulls in place of every amount."""
    return frame.with_columns(_MONEY.cast(pl.Float64) * None)


def trained_without_money(training: TrainingData) -> TrainingData:
    """The training data as they are read where no money is mapped."""
    frames = {field.name: getattr(training, field.name) for field in fields(training) if field.name != "cutoff"}
    bare: dict[str, Any] = {name: without_money(frame) for name, frame in frames.items()}
    return replace(training, **bare | {"repeat_spend": training.repeat_spend.clear()})
