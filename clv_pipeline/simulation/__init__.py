"""Shops made up from known parameters, seeded: what tests and benchmarks run on, and what `clv demo` writes."""

from clv_pipeline.simulation.shop import Shop, Story, simulate_shop

__all__ = ["Shop", "Story", "simulate_shop"]
