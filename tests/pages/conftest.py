"""The pages under AppTest: what a server reads once when it starts is read once for all of them."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import local_script_runner


@pytest.fixture(scope="session", autouse=True)
def _one_look_for_installed_components() -> Iterator[None]:
    """Every AppTest reads the metadata of all installed packages for components: most of the time that a page takes."""
    with pytest.MonkeyPatch.context() as patch:
        look = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", look)
        yield


@pytest.fixture(scope="session", autouse=True)
def _patient_runs() -> Iterator[None]:
    """AppTest looks every millisecond whether the page's thread has ended, and holds it up: here it waits for it."""
    ended = local_script_runner.require_widgets_deltas

    def wait(runner: local_script_runner.LocalScriptRunner, timeout: float = 3) -> None:
        if runner._script_thread is not None:
            runner._script_thread.join(timeout)
        ended(runner, timeout=1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_script_runner, "require_widgets_deltas", wait)
        yield
