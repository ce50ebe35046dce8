"""Tests of clv_pipeline; the folders mirror the package."""
