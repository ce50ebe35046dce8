"""Making text from outside safe to display in charts, pages, lists, terminals and logs."""

from clv_pipeline.text.display import UNSAFE, displayed, displayed_in

__all__ = ["UNSAFE", "displayed", "displayed_in"]
