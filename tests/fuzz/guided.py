"""A round of tests/fuzz led by what it reaches: atheris goes on from the examples that run new lines of attnviz.

python -m tests.fuzz.guided images 60     `test_images` of test_files_and_texts, for so many seconds; or to a fault
"""

from __future__ import annotations

import inspect
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import atheris
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

with atheris.instrument_imports(include=["attnviz"]):
    from attnviz.models import strangers
    from tests.fuzz import test_files_and_texts as rounds

# at full length from the first example on: Hypothesis gives up those whose bytes end too soon
LIMITS = ("-rss_limit_mb=6000", "-timeout=60", "-max_len=8192", "-len_control=0", "-print_final_stats=1")


def checked(name: str) -> Callable[[bytes], Any]:
    """The round of a name as a function of the bytes that its example is drawn from."""
    taken: list[Callable[[bytes], Any]] = []

    def take(inputs: SearchStrategy[Any], check: Callable[[Any], None], seconds: float, examples: int = 0) -> None:
        @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @given(inputs)
        def go(one: Any) -> None:
            check(one)

        taken.append(go.hypothesis.fuzz_one_input)

    rounds.fuzz = take
    test = getattr(rounds, f"test_{name}")
    parameters = inspect.signature(test).parameters
    if "tokenizers_in_this_process" in parameters:
        strangers.isolated = lambda: False
    test(**dict.fromkeys(parameters, 0.0))
    return taken[0]


def main() -> None:
    """Runs one round until its time is over."""
    name, seconds = sys.argv[1:]
    found = f"-artifact_prefix={tempfile.gettempdir()}/"  # where the bytes of a fault go
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", found, *LIMITS], checked(name))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
