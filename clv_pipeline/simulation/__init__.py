"""Seeded, simulated shops with known parameters: for tests, for benchmarks, and for `clv demo`."""

from clv_pipeline.simulation.shop import Shop, Story, simulate_shop

__all__ = ["Shop", "Story", "simulate_shop"]
