"""The R × F grid as it is documented."""

from __future__ import annotations

# Rows are r_score 5 to 1, columns f_score 1 to 5.
GRID = """
New Customers  | Potential Loyalists | Potential Loyalists | Champions | Champions
Promising      | Potential Loyalists | Potential Loyalists | Loyal     | Loyal
About to Sleep | About to Sleep      | Need Attention      | Loyal     | Loyal
Hibernating    | Hibernating         | At Risk             | At Risk   | Can't Lose
Lost           | Hibernating         | At Risk             | At Risk   | Can't Lose
"""
SEGMENT_OF_SCORES = {
    (r_score, f_score): segment.strip()
    for r_score, line in zip(range(5, 0, -1), GRID.strip().splitlines(), strict=True)
    for f_score, segment in zip(range(1, 6), line.split("|"), strict=True)
}
