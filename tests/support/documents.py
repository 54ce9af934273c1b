"""The project's documents, and the blocks of code in them."""

import re
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.md")],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)
NAMES = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]


def text(name: str) -> str:
    """A document by its path from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str) -> list[tuple[str, str]]:
    """(language, content) of the fenced blocks of a document, in order, those in lists too."""
    fenced = re.findall(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", text(name), re.DOTALL | re.MULTILINE)
    return [(language, dedent(content)) for language, content in fenced]
