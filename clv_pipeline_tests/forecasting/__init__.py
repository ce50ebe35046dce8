"""Tests of clv_pipeline.forecasting."""
