"""What the outside may not do to the pipeline, and what the pipeline may not tell the outside."""
