"""The names of segments as they are documented: the R × F grid, and what a silence makes of it."""

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
ACTIVE = {"Champions", "Loyal", "Potential Loyalists", "New Customers", "Promising"}
FADING = {"About to Sleep", "Hibernating", "At Risk", "Can't Lose", "Lost"}
HABIT = {"Champions", "Loyal"}
SILENCES = ("usual", "long", "overdue")


def segment_of(r_score: int, f_score: int, silence: str) -> str:
    """The name by the rule: the grid's, unless the silence forbids it."""
    name = SEGMENT_OF_SCORES[r_score, f_score]
    if silence == "overdue" and name in ACTIVE:
        return SEGMENT_OF_SCORES[2, f_score]
    if silence != "overdue" and name in FADING:
        column = [SEGMENT_OF_SCORES[r, f_score] for r in range(1, 6)]
        name = next(active for active in column if active in ACTIVE)
    return "Need Attention" if silence == "long" and name in HABIT else name
