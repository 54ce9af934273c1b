"""The documents: what they link to exists, what they name exists, and the reference leaves nothing out."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.documents import NAMES, ROOT, text

TOPS = {path.name for path in ROOT.iterdir()}
WINGS = sorted(path.parent.name for path in (ROOT / "attnviz").glob("*/__init__.py"))
# What the guides make up, for what somebody adds, and what the changelog says has moved.
MADE_UP = re.compile(r"^attnviz\.sampling$|/(test_)?(spread|tokens)(_page)?\b")


def prose(name: str) -> str:
    """A document without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text(name), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files(name: str) -> None:
    folder = (ROOT / name).parent
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose(name)):
        if not target.startswith(("http://", "https://")):
            assert (folder / target).is_file(), f"{name}: {target}"


@pytest.mark.parametrize("name", NAMES)
def test_paths_in_backticks_exist(name: str) -> None:
    """`attnviz/nn/masks.py`, `docs/`, `pages/<page>.py`: with <…> and * for any name."""
    for path in re.findall(r"`([\w.<>*{},/-]+)`", prose(name)):
        top = path.split("/")[0]
        if MADE_UP.search(path) or not ("/" in path or path.endswith((".py", ".md", ".toml", ".txt", ".yml"))):
            continue
        if top in TOPS:
            places = [ROOT]
        elif top in WINGS:
            places = [ROOT / "attnviz"]
        else:
            continue
        alternatives = re.search(r"\{([^}]*)\}", path)
        for choice in alternatives[1].split(",") if alternatives else [""]:
            one = path.replace(alternatives[0], choice) if alternatives else path
            pattern = re.sub(r"<\w+>", "*", one).rstrip("/")
            assert any(next(place.glob(pattern), None) for place in places), f"{name}: {path}"


@pytest.mark.parametrize("name", NAMES)
def test_modules_in_backticks_exist(name: str) -> None:
    """`attnviz.nn.masks.Mask`: a module, or a name in one."""
    for dotted in re.findall(r"`(attnviz(?:\.\w+)+)`", prose(name)):
        if MADE_UP.search(dotted):
            continue
        assert _exists(dotted), f"{name}: {dotted}"


def _exists(dotted: str) -> bool:
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        file = ROOT.joinpath(*parts[:n])
        if file.is_dir():
            file /= "__init__.py"
        else:
            file = file.with_suffix(".py")
        if file.is_file():
            left = parts[n:]
            return not left or left[0] in _names(file)
    return False


def _names(file: Path) -> set[str]:
    names: set[str] = set()
    body = ast.parse(file.read_text(encoding="utf-8")).body
    late = [one for node in body if isinstance(node, ast.If) for one in node.body]  # under TYPE_CHECKING
    for node in [*body, *late]:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


GUIDES = [name for name in NAMES if name.startswith("docs/how-to/")] + ["docs/architecture.md"]


@pytest.fixture(scope="module")
def source() -> str:
    """Everything that a guide may name."""
    files = [path for top in ("attnviz", "pages", "tests") for path in (ROOT / top).rglob("*.*")]
    files = [path for path in files if "node_modules" not in path.parts]
    files = [path for path in files if path.suffix in (".py", ".js", ".css")] + [ROOT / "app.py"]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize("name", GUIDES)
def test_names_in_a_guide_are_in_the_code(name: str, source: str) -> None:
    """`scoreTargets`, `lesson.picture(…)`: names that no file has, and no block of the guide, are out of date."""
    examples = "\n".join(re.findall(r"^ *```.*?^ *```$", text(name), re.DOTALL | re.MULTILINE))
    for words in re.findall(r"`([A-Za-z_][\w.]*)(?:\([^`]*\))?`", prose(name)):
        for word in words.split("."):
            if not MADE_UP.search(f"/{word}"):
                assert re.search(rf"\b{word}\b", source + examples), f"{name}: {words}"


@pytest.mark.parametrize("wing", WINGS)
def test_the_reference_has_every_module_that_a_wing_names(wing: str) -> None:
    page = text(f"docs/api/{wing}.md")
    shown = re.findall(r"^::: (\S+)$", page, re.MULTILINE)
    assert [module for module in shown if not _exists(module)] == []
    folder = ROOT / "attnviz" / wing
    modules = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    described = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    named = {name.split(".")[0] for name in re.findall(r"`([\w.]+)`", described)} & modules
    assert {name for name in named if f"attnviz.{wing}.{name}" not in shown} == set()


def test_every_wing_has_its_page_and_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for name in NAMES:
        if name.startswith("docs/"):
            assert re.search(rf": {re.escape(name.removeprefix('docs/'))}$", navigation, re.MULTILINE), name
    for wing in WINGS:
        assert (ROOT / "docs" / "api" / f"{wing}.md").is_file(), wing


def test_the_pages_are_those_of_the_app() -> None:
    titles = re.findall(r'st\.Page\(.*title="([^"]+)"', (ROOT / "app.py").read_text(encoding="utf-8"))
    readme = text("README.md")
    assert len(titles) == len(list((ROOT / "pages").glob("*.py")))
    assert [title for title in titles if f"\n| {title} | " not in readme] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_a_table_has_as_many_cells_as_its_head(name: str) -> None:
    head = 0
    for line in text(name).splitlines():
        cells = len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", line))) if line.startswith("|") else 0
        head = head if cells and head else cells
        assert cells == head or not cells, line
