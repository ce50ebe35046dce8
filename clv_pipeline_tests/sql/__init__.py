"""One module per SQL model: input rows, expected rows."""
