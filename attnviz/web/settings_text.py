"""What a page's link says, in words: for pictures that leave the page. Plain functions of a page's settings."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

LONGEST_TEXT = 120  # characters of a text that are quoted

_WORDS = {
    "translator": "model {}",
    "vit": "model {}",
    "task": "task {}",
    "source": "text “{}”",
    "layer": "layer {}",
    "head": "head {}",
    "query": "query: token {}",
    "token": "token {}",
    "temperature": "temperature {:g}",
    "inside": "temperature of attention {:g}",
    "outside": "temperature of sampling {:g}",
    "mask": "mask: {}",
    "scheme": "positions: {}",
    "positions": "positions: {}",
    "step": "training step {}",
    "seed": "seed {}",
}


def settings_text(settings: Any, model: str = "", text: str = "") -> str:
    """One line: the model and the text where the page reads them, and every setting that has a name here.

    Arguments
        settings: a page's frozen dataclass.
        model: its title; "" for a page that does not read the sidebar's.
        text: "" for the same.
    """
    parts = [f"model {model}" if model else "", f"text “{shortened(text)}”" if text else ""]
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name in _WORDS and (not isinstance(value, int) or value >= 0) and value != "":
            parts.append(_words(field.name, value))
    line = " · ".join(part for part in parts if part)
    return line[:1].upper() + line[1:]


def _words(name: str, value: Any) -> str:
    pattern = _WORDS[name]
    if isinstance(value, str):
        return pattern.replace("{:g}", "{}").format(shortened(value))
    return pattern.format(value)


def shortened(text: str) -> str:
    """A text in one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else line[:LONGEST_TEXT] + "…"
