"""Where the files that are no Python modules lie: at the top of a checkout, or inside the package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_INSTALLED = (_PACKAGE / "assets").is_dir()  # pyproject.toml maps assets/ and the app into the package

ASSETS = _PACKAGE / "assets" if _INSTALLED else _PACKAGE.parent / "assets"
APP = _PACKAGE / "_app" / "app.py" if _INSTALLED else _PACKAGE.parent / "app.py"
