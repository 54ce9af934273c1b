"""What the page "Heads" says; what it says of the numbers stands in `analysis.cards_text`, for files say it too."""

from __future__ import annotations

INTERVAL = "95\u202f% interval"
NOT_JUDGED = "This model’s heads have not been judged on many texts yet: below they are judged on your text alone."
ELSEWHERE = "Pick another model; the page “Vision” shows where heads look that read images."
OTHERS = "Pick another model in the sidebar for the roles of all heads, and their cards."
KEEP = (
    "Roles, this head’s card and the most telling ones, every head switched off, who wrote the prediction, attention "
    "and cause, each head beside B of the page Compare, and the attention view of your text: one file, with "
    "every table as CSV, that opens without a network."
)
SOURCE = (
    "Previous, duplicate and induction: Olsson et al. 2022, appendix. Sinks and the rest: Clark et al. 2019, section "
    "3; Xiao et al. 2024. A role is said where the low end of the 95 % interval is at least 50 %, at least a quarter "
    "of the attention does not rest, and at least 20 words were judged. What is lost: Michel et al. 2019."
)
NOT_WRITTEN = "Cancelled: the page to keep is not written."


def writing(part: str) -> str:
    """Beside the bar: what the page to keep waits for."""
    return f"Writing {part} …" if part == "the file" else f"Looking at {part} …"


def two_texts(title: str) -> str:
    """Why a model has no roles, and what is known of it all the same."""
    return (
        f"{title} reads two texts, and roles are told of models that read one. Its best heads, where answers are "
        "known, follow."
    )


def without(layer: int, head: int) -> str:
    """The way to What if?"""
    return f"Switch layer {layer}, head {head} off: What if?"
