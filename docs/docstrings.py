"""Turns the docstrings of this house into Markdown for the API reference.

Arguments                      a list, one line per argument
    name: what it is.
Errors: … Returns … Source: …  paragraphs of their own
field: int  # counted from 0   the comment is the field's text
"""

from __future__ import annotations

import inspect
import re
import tokenize
from io import StringIO
from typing import Any

import griffe

_ARGUMENT = re.compile(r"^    (\w[\w, …]*): (.*)$")
_COLUMNS = re.compile(r"\S {2,}\S")
_LABEL = re.compile(r"^(Errors|Source|Sources|Returns)\b(:?)")


def markdown(docstring: str) -> str:
    """A docstring as Markdown: lists of arguments, and a paragraph for each label; diagrams stay as they are."""
    lines: list[str] = []
    in_arguments = False
    for line in _with_columns(inspect.cleandoc(docstring)).splitlines():
        if line == "Arguments":
            in_arguments = True
            lines += ["", "**Arguments**", ""]
        elif in_arguments and (match := _ARGUMENT.match(line)):
            names = ", ".join(f"`{name.strip()}`" for name in match[1].split(","))
            lines.append(f"- {names}: {match[2]}")
        elif in_arguments and line.startswith("        "):
            lines.append("    " + line.strip())
        else:
            in_arguments = in_arguments and not line
            if match := _LABEL.match(line):
                lines += ["", f"**{match[1]}**{match[2]}{line[match.end() :]}"]
            else:
                lines.append(line)
    return "\n".join(lines)


def _with_columns(docstring: str) -> str:
    """Paragraphs in columns, indented so that Markdown keeps them."""
    paragraphs = docstring.split("\n\n")
    for i, paragraph in enumerate(paragraphs):
        if not paragraph.startswith("    ") and len(_COLUMNS.findall(paragraph)) > 1:
            paragraphs[i] = "\n".join(f"    {line}" for line in paragraph.splitlines())
    return "\n\n".join(paragraphs)


def comment(source: str) -> str:
    """The comment at the end of a field's lines, "" if there is none."""
    try:
        tokens = [token.string for token in tokenize.generate_tokens(StringIO(source).readline)]
    except (tokenize.TokenError, IndentationError):
        return ""
    comments = [text.lstrip("# ") for text in tokens if text.startswith("#")]
    return comments[-1] if comments else ""


def fields(cls: griffe.Class) -> str:
    """The fields of a class that carry a comment, as a list; "" if there are none."""
    commented = [
        (name, comment(member.source.strip()))
        for name, member in cls.members.items()
        if isinstance(member, griffe.Attribute) and not name.startswith("_") and not member.docstring
    ]
    lines = [f"- `{name}`: {text}" for name, text in commented if text]
    return "\n".join(["", "", "**Fields**", "", *lines]) if lines else ""


class HouseStyle(griffe.Extension):
    """Called by griffe for every object that it reads."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the object's docstring, and adds what a class's fields say."""
        if not obj.docstring:
            return
        obj.docstring.value = markdown(obj.docstring.value)
        if isinstance(obj, griffe.Class):
            obj.docstring.value += fields(obj)
