"""The message about a failed run, and how it reaches its receivers."""
