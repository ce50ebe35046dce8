"""What the `clv` command says when something outside of it is wrong."""
