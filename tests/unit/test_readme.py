"""What the README and the other documents show is what happens."""

import ast
import contextlib
import io
import re
from itertools import pairwise

import pytest

from tests.support.documents import NAMES, ROOT, blocks, text

# A block of Python with a block of text right after it claims to print that text.
CLAIMS = [
    pytest.param(code, printed, id=f"{name}:{number}")
    for name in NAMES
    for number, ((language, code), (after, printed)) in enumerate(pairwise(blocks(name)))
    if (language, after) == ("python", "text")
]


def test_readme_has_one_snippet_of_at_most_ten_lines() -> None:
    (code,) = (code for language, code in blocks("README.md") if language == "python")
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 10
    assert code in [claim.values[0] for claim in CLAIMS]


@pytest.mark.parametrize(("code", "printed"), CLAIMS)
def test_a_snippet_prints_what_is_shown(code: str, printed: str) -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "document", "exec"), {})
    assert out.getvalue() == printed


@pytest.mark.parametrize("name", NAMES)
def test_python_in_documents_is_python(name: str) -> None:
    for language, code in blocks(name):
        if language == "python":
            ast.parse(code)


def test_every_requirement_has_its_reason() -> None:
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^# .+\.\n([A-Za-z0-9-]+)==", requirements, re.MULTILINE)  # not what these need in turn
    readme = text("README.md")
    reasons = readme[readme.index("## Why each dependency") : readme.index("## Licence")]
    assert pinned and [name for name in pinned if name not in reasons] == []


@pytest.mark.parametrize("name", NAMES)
def test_commands_that_are_named_exist(name: str) -> None:
    from attnviz.__main__ import main

    for command in set(re.findall(r"python -m attnviz (\w+)", text(name))):
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
            main([command, "--help"])
        assert "usage:" in out.getvalue(), command
