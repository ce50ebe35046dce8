"""Forgotten customers: their register, their erasure, and keyed hashes that nobody can turn back into ids."""
