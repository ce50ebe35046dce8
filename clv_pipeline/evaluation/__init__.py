"""Judging forecasts: backtests, metrics, the champion, predictive intervals; pure."""
