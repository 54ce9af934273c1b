"""A new server's first page brings along only what it needs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ["pandas", "sklearn", "scipy", "transformers", "huggingface_hub", "attnviz.training"]
FIRST = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=120)
app.query_params["model"] = "induction"
app.run()
assert not app.exception and app.sidebar.text_area, app.exception
print(*[name for name in {HEAVY} if name in sys.modules])
"""

ALL = """
import sys
from pathlib import Path
from streamlit.testing.v1 import AppTest
pages = sorted(Path("pages").glob("*.py"))
for page in pages:
    app = AppTest.from_file("app.py", default_timeout=120).run()
    app.switch_page(str(page)).run()
    assert not app.exception, (page, app.exception)
print(len(pages), *[name for name in ("pandas", "pyarrow") if name in sys.modules])
"""


def test_explore_needs_no_tables_and_no_training() -> None:
    result = subprocess.run([sys.executable, "-c", FIRST], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.split() == []


@pytest.mark.nightly
def test_no_page_needs_pandas() -> None:
    """70 MB, and an import beside which other readers' figures see half of it."""
    result = subprocess.run([sys.executable, "-c", ALL], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout.split()[0]) >= 19 and result.stdout.split()[1:] == []
