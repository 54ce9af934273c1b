"""The architectures of the zoo, from names.txt: by what they read, and the 60 that are downloaded most."""

from __future__ import annotations

from pathlib import Path


def _sections() -> dict[str, list[str]]:
    """Title → classes of transformers, with their stars."""
    sections: dict[str, list[str]] = {}
    title = ""
    for line in (Path(__file__).with_name("names.txt")).read_text(encoding="utf-8").splitlines()[1:]:
        if line.startswith("# "):
            title = line[2:]
        elif line:
            sections.setdefault(title, []).extend(line.split())
    return sections


SECTIONS = {title: [name.rstrip("*") for name in names] for title, names in _sections().items()}
ALL = [name for names in SECTIONS.values() for name in names]
MOST_DOWNLOADED = [name[:-1] for names in _sections().values() for name in names if name.endswith("*")]
