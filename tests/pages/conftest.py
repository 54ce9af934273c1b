"""The pages under AppTest: what a server reads once when it starts is read once for all of them."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from streamlit.components.v2 import manifest_scanner


@pytest.fixture(scope="session", autouse=True)
def _one_look_for_installed_components() -> Iterator[None]:
    """Every AppTest reads the metadata of all installed packages for components: most of the time that a page takes."""
    with pytest.MonkeyPatch.context() as patch:
        look = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", look)
        yield
