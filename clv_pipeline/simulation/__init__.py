"""Shops made up from known parameters, seeded: what recovery tests, the poisoning test and benchmarks run on."""

from clv_pipeline.simulation.shop import Shop, Story, simulate_shop

__all__ = ["Shop", "Story", "simulate_shop"]
