"""Published numbers that a correct implementation reproduces."""
