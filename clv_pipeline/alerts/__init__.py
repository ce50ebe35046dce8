"""What is told of a failed run, and how it reaches somebody."""
