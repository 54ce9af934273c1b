"""The scripts of .ci and the workflow that calls them name the same parts."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = (ROOT / ".ci" / "run").read_text()
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def test_the_workflow_runs_every_part():
    (parts,) = re.findall(r"^ +((?:\w+ \| )+\w+)\) ;;$", RUN, re.M)
    (jobs,) = re.findall(r"^ +part: \[(.+)\]$", WORKFLOW, re.M)
    assert jobs.replace("--all ", "").split(", ") == parts.split(" | ")
    assert "bash .ci/run --all" in WORKFLOW and "node-version" in WORKFLOW


@pytest.mark.parametrize("script", ["run", "resolved", "supply"])
def test_an_unknown_argument_is_refused_before_anything_is_installed(script):
    result = subprocess.run(["bash", f".ci/{script}", "something"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and "something" in result.stderr


def test_the_audit_says_how_many_packages_nobody_knows(tmp_path):
    """An index without records of holes is no reason to say that there are none."""
    python = tmp_path / "python"
    audit = "torch  Dependency not found on PyPI and could not be audited: torch (1)"
    python.write_text(
        '#!/bin/sh\nmkdir -p "$3/bin"; printf "#!/bin/sh\\n" > "$3/bin/python"\n'
        f'printf \'#!/bin/sh\\necho "{audit}"\\necho No known vulnerabilities found >&2\\n\' > "$3/bin/pip-audit"\n'
        'chmod +x "$3/bin/python" "$3/bin/pip-audit"\n'
    )
    python.chmod(0o755)
    result = subprocess.run(
        ["bash", ".ci/supply", "audit"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHON": str(python)},
    )
    assert result.returncode == 0, result.stderr
    assert re.search(r"^1 of \d+ packages were not audited", result.stdout, re.M)


def test_the_lowest_torch_is_read_from_the_ranges():
    (pattern,) = re.findall(r"^floor=\$\(sed -nE 's/(.+?)/\\1/p'", (ROOT / ".ci" / "resolved").read_text(), re.M)
    assert len(re.findall(pattern, (ROOT / "pyproject.toml").read_text(), re.M)) == 1


def test_the_lock_has_what_is_pinned_with_the_hashes_of_its_files_and_no_address():
    lock = (ROOT / "requirements.lock").read_text()
    entries = re.findall(r"^([\w-]+)==([\w.]+)[^\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", lock, re.M)
    versions = {name: version for name, version, _ in entries}
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(), re.M))
    assert {name: versions[name] for name in pinned} == pinned
    assert len(entries) == len(re.findall(r"^[\w-]+==", lock, re.M))
    assert "://" not in lock + (ROOT / "requirements.txt").read_text() and "index" not in lock
