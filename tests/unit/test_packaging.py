"""The wheel: holds the app, its pages, the browser view and the assets, and works away from the checkout."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What the build reads; a copy, because setuptools writes into the folder it builds.
SOURCES = ["attnviz", "pages", "assets", ".streamlit"]
FILES = ["app.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder that holds the unpacked wheel."""
    copy, target = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("installed")
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", target, copy], check=True)
    (wheel,) = target.glob("attnviz-*.whl")
    zipfile.ZipFile(wheel).extractall(target)
    wheel.unlink()
    return target


def files(folder: Path) -> set[str]:
    paths = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {path.as_posix() for path in paths if not any("cache" in part for part in path.parent.parts)}


def test_wheel_holds_all_that_the_checkout_has(installed):
    inside = files(installed / "attnviz")
    for folder, place in [("attnviz", ""), ("assets", "assets/"), ("pages", "_app/pages/")]:
        assert files(ROOT / folder), folder
        assert {place + name for name in files(ROOT / folder)} <= inside
    assert {"_app/app.py", "_app/.streamlit/config.toml"} <= inside


def test_wheel_holds_nothing_else(installed):
    assert {path.name for path in installed.iterdir()} == {"attnviz", "attnviz-0.1.0.dist-info"}
    own = {name for folder in ("attnviz", "assets", "pages") for name in files(ROOT / folder)}
    inside = {name.removeprefix("assets/") for name in files(installed / "attnviz")}
    extra = {name.removeprefix("_app/pages/") for name in inside} - own
    assert extra == {"_app/app.py", "_app/.streamlit/config.toml"}


def test_installed_package_finds_its_app_and_assets(installed, tmp_path):
    code = (
        "import attnviz, json; from attnviz.inputs.assets import APP, ASSETS;"
        "print(json.dumps([attnviz.__file__, APP.is_file(), (ASSETS / 'examples' / 'texts.json').is_file()]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    file, app, assets = json.loads(result.stdout)
    assert Path(file).is_relative_to(installed) and app and assets


def test_requirements_become_the_dependencies(installed):
    metadata = (installed / "attnviz-0.1.0.dist-info" / "METADATA").read_text()
    assert "Requires-Dist: torch==2.13.0" in metadata
    assert "License-Expression: MIT" in metadata


def test_version_is_the_same_everywhere():
    import attnviz

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == attnviz.__version__


def test_options_of_streamlit_exist():
    from streamlit import config

    known = set(config.get_config_options())
    for section, options in tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text()).items():
        for name, value in options.items():
            inner = [f"{section}.{name}.{key}" for key in value] if isinstance(value, dict) else []
            for option in inner or [f"{section}.{name}"]:
                assert option in known, option


def test_examples_are_texts_with_a_reason():
    examples = json.loads((ROOT / "assets" / "examples" / "texts.json").read_text(encoding="utf-8"))
    assert len({example["name"] for example in examples}) == len(examples) >= 6
    for example in examples:
        assert set(example) == {"name", "text", "why"} and all(example.values())
    assert examples[0]["text"] == "The animal didn't cross the street because it was too tired."
