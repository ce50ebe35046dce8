"""Measurements on generated transactions: seconds, peak memory, and what the alternatives cost."""
