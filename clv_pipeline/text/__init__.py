"""Text from outside as it is displayed: safe for charts, pages, lists, terminals and logs."""

from clv_pipeline.text.display import UNSAFE, displayed, displayed_in

__all__ = ["UNSAFE", "displayed", "displayed_in"]
