"""Persons who are no longer known: the register of them, their erasure, and names that nobody can turn back."""
