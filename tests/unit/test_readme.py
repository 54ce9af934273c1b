"""What the README shows is what happens."""

import contextlib
import io
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found, f"no {language} block"
    return found[1]


def test_the_snippet_prints_what_is_shown() -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block("python"), "README.md", "exec"), {})
    assert printed.getvalue() == block("text")


def test_every_requirement_has_its_reason() -> None:
    pinned = re.findall(r"^([A-Za-z0-9-]+)==", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    reasons = README[README.index("## Why each dependency") : README.index("## Limits")]
    assert pinned and [name for name in pinned if name not in reasons] == []


def test_files_and_commands_that_are_named_exist() -> None:
    from attnviz.__main__ import main

    for path in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / path).is_file(), path
    for command in set(re.findall(r"python -m attnviz (\w+)", README)):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            main([command, "--help"])
