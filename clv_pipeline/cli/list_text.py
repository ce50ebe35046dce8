"""What commands say of the customers in the lists that they have written."""

from __future__ import annotations


def ids_line(pseudonyms: bool) -> str:
    """Under which ids the customers are listed."""
    return f"customer_id is {'a pseudonym' if pseudonyms else 'the id of the source'}, as published"


def guarded_line(customers: int) -> str:
    """That texts of so many customers were made harmless."""
    return (
        f"{customers:,} of them have a text that could be taken for a formula, or that is not safe to display:"
        " an apostrophe is put into it, a control character is spelled out"
    )
