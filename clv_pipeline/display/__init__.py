"""How people are told something: the words of a language, and numbers, money and days as a locale writes them.

English stands in the code; `words/<language>.po` holds what it is in another language. Whatever machines read (tables,
files, logs) is not written by this room.
"""

from clv_pipeline.display.locales import ENGLISH, Display, languages

__all__ = ["ENGLISH", "Display", "languages"]
