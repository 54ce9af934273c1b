"""What the page "Heads" says; what it says of the numbers stands in `analysis.cards_text`, for files say it too."""

from __future__ import annotations

NOT_JUDGED = "This model’s heads have not been judged on many texts yet: below they are judged on your text alone."
KEEP = (
    "Roles, this head’s card and the most telling ones, every head switched off, who wrote the prediction, attention "
    "and cause, and the attention view of your text: one file, with every table as CSV, that opens without a network."
)
