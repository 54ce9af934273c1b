"""The wheel: holds the app, its pages, the browser view and the assets, and works away from the checkout."""

import importlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

import attnviz

ROOT = Path(__file__).parents[2]
VERSION = attnviz.__version__
IN_SDIST = ("attnviz", "pages", "assets", ".streamlit", "tests")
FILES_IN_SDIST = (
    "app.py",
    "serve.py",
    "pyproject.toml",
    "requirements.txt",
    "requirements-dev.txt",
    "README.md",
    "LICENSE",
    "CITATION.cff",
)


def build(kind: str, source: Path, target: Path) -> Path:
    """The wheel or sdist of a source folder."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target], cwd=source, check=True)
    (built,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder that holds the unpacked wheel."""
    target = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(target)
    return target


@pytest.fixture(scope="module")
def metadata(installed) -> Message:
    return message_from_string((installed / f"attnviz-{VERSION}.dist-info" / "METADATA").read_text(encoding="utf-8"))


def files(folder: Path) -> set[str]:
    paths = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    unlisted = ("cache", "node_modules")  # what git ignores, too
    return {path.as_posix() for path in paths if not any(name in part for name in unlisted for part in path.parts[:-1])}


def test_wheel_holds_all_that_the_checkout_has(installed):
    inside = files(installed / "attnviz")
    for folder, place in [("attnviz", ""), ("assets", "assets/"), ("pages", "_app/pages/")]:
        assert files(ROOT / folder), folder
        assert {place + name for name in files(ROOT / folder)} <= inside
    assert {"_app/app.py", "_app/serve.py", "_app/.streamlit/config.toml"} <= inside


def test_wheel_holds_nothing_else(installed):
    assert {path.name for path in installed.iterdir()} == {"attnviz", f"attnviz-{VERSION}.dist-info"}
    own = {name for folder in ("attnviz", "assets", "pages") for name in files(ROOT / folder)}
    inside = {name.removeprefix("assets/") for name in files(installed / "attnviz")}
    extra = {name.removeprefix("_app/pages/") for name in inside} - own
    assert extra == {"_app/app.py", "_app/serve.py", "_app/.streamlit/config.toml"}


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


@pytest.mark.nightly
def test_sdist_holds_all_that_the_wheel_and_the_tests_are_made_of(sdist, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    source = tmp_path / f"attnviz-{VERSION}"
    for name in IN_SDIST:
        assert files(ROOT / name) <= files(source / name), name
    assert set(FILES_IN_SDIST) <= files(source)


@pytest.mark.nightly
def test_wheel_made_from_the_sdist_is_the_same(wheel, sdist, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    again = build("wheel", tmp_path / f"attnviz-{VERSION}", tmp_path / "dist")
    assert again.read_bytes() == wheel.read_bytes()


@pytest.mark.nightly
def test_index_would_take_both_files(wheel, sdist):
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], check=True)


def test_dependencies_are_ranges_and_extras_are_named(metadata):
    required = metadata.get_all("Requires-Dist")
    core = {line.partition(">=")[0] for line in required if "extra ==" not in line}
    assert core == {"torch", "numpy", "tokenizers", "safetensors", "rich", "jinja2"}
    assert all(re.match(r"[\w-]+>=[\d.]+(;|$)", line) for line in required), required
    assert set(metadata.get_all("Provides-Extra")) == {"app", "hub", "minilm", "translate", "onnx", "sound", "dev"}
    assert metadata["License-Expression"] == "MIT AND Apache-2.0"  # the latter: MiniLM's tokenizer
    assert {"Typing :: Typed", "Intended Audience :: Education"} <= set(metadata.get_all("Classifier"))


def test_version_has_one_source(metadata):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"] and project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "attnviz/__init__.py"
    assert metadata["Version"] == VERSION


def test_console_command_is_the_module(installed, capsys):
    (line,) = re.findall(
        r"^attnviz = (.*)$", (installed / f"attnviz-{VERSION}.dist-info" / "entry_points.txt").read_text(), re.M
    )
    module, function = line.split(":")
    with pytest.raises(SystemExit, match="0"):
        getattr(importlib.import_module(module), function)(["--help"])
    assert "serve" in capsys.readouterr().out


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
