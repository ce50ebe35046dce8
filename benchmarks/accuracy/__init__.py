"""How accurate what is served was, on many shops, beside what others would have said; written into docs/ACCURACY.md."""

from pathlib import Path

DOCUMENT = Path("docs/ACCURACY.md")
