"""Forgotten persons: their register, their erasure, and names that nobody can turn back into ids."""
