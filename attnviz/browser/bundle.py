"""The modules of `frontend/` for browsers: plain ES modules and style sheets, put together without a build step."""

import posixpath
import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "frontend"

_IMPORT = re.compile(r'^import \{[^}]*\} from "(\.\.?/[\w./-]+\.js)";[ \t]*\n?', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default\b)(?=(?:async )?(?:function|const|let|class)\b)", re.MULTILINE)
_TOP_LEVEL = re.compile(r"^(?:async )?(?:function\*?|const|let|class)\s+([\w$]+)", re.MULTILINE)
_LEFT_OVER = re.compile(r"^(?:import\b|export (?!default\b)).*", re.MULTILINE)


class BundleError(ValueError):
    """Modules that cannot be put into one file; the message names them."""


@cache
def javascript(entry: str = "attention/streamlit.js") -> str:
    """One module: `entry` and everything it imports, each once and after what it imports itself.

    Modules are named by their path in `frontend/` and import by `import { a, b } from "../folder/x.js";`, on one line
    or several; no two modules of a bundle define the same top-level name. Errors: BundleError for a double name, a
    circle of imports or any other import or export.
    """
    files = FOLDER.rglob("*.js")
    return bundle({path.relative_to(FOLDER).as_posix(): path.read_text("utf-8") for path in files}, entry)


@cache
def css(*more: str) -> str:
    """The palette, the attention view's style sheet, which holds the type, and after these the named files."""
    return "\n".join((FOLDER / name).read_text("utf-8") for name in ("core/palette.css", "attention/view.css", *more))


def bundle(modules: dict[str, str], entry: str) -> str:
    """One module out of many, given as path → source. Errors: BundleError."""
    order: list[str] = []
    _visit(entry, (), modules, order)
    owner: dict[str, str] = {}
    parts = []
    for name in order:
        source = _EXPORT.sub("", _IMPORT.sub("", modules[name]))
        if left := _LEFT_OVER.search(source):
            raise BundleError(f"{name}: cannot bundle {left.group()!r}")
        if name != entry and "export default" in source:
            raise BundleError(f"{name}: only the entry, {entry}, may have a default export")
        for top in _TOP_LEVEL.findall(source):
            if top in owner:
                raise BundleError(f"{top!r} is defined in both {owner[top]} and {name}")
            owner[top] = name
        parts.append(f"// {name}\n{source.strip()}\n")
    return "\n".join(parts)


def _visit(name: str, path: tuple[str, ...], modules: dict[str, str], order: list[str]) -> None:
    """Appends `name` to `order` after everything it imports; `path` holds the modules that led to it."""
    if name in path:
        raise BundleError("circle of imports: " + " → ".join([*path, name]))
    if name in order:
        return
    if name not in modules:
        raise BundleError(f"{path[-1] if path else 'the bundle'} imports {name}, which does not exist")
    for imported in _IMPORT.findall(modules[name]):
        _visit(posixpath.normpath(posixpath.join(posixpath.dirname(name), imported)), (*path, name), modules, order)
    order.append(name)
