"""Tests of clv_pipeline.evaluation."""
