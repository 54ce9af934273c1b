"""What all sessions of a server share: loaded models, and the messages made from their runs.

Cached functions take names, text and frozen dataclasses only, and what they return is never changed. A model that was
trained or uploaded in a session stays in that session: it has a name that nobody can guess, so that what is cached
under it is found by nobody else.
"""

from __future__ import annotations

import gc
import secrets
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache

import streamlit as st
import torch
from streamlit.runtime.scriptrunner import get_script_run_ctx

from attnviz.analysis import measures
from attnviz.browser import attention_message
from attnviz.errors import ModelError
from attnviz.inputs.isolated_tokenizer import Waiting, while_wanted
from attnviz.models import strangers
from attnviz.models.catalogue import catalogue, load
from attnviz.models.model import Model, ModelInfo
from attnviz.models.programs import library
from attnviz.models.programs import models as programs
from attnviz.nn.config import ModelConfig
from attnviz.nn.encoding import UNKNOWN
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.web import reloads, store
from attnviz.web.limits import LIMITS

MAX_MODEL_BYTES = LIMITS.max_model_bytes
MAX_UPLOAD_BYTES = LIMITS.max_upload_bytes  # of an archive with a model
MODELS_BYTES = LIMITS.models_bytes  # of memory for the models that all share
OWN_BYTES = LIMITS.own_models_bytes  # and for those of single sessions, together
MAX_CHARACTERS = LIMITS.max_characters
MAX_TEXT_TOKENS = LIMITS.max_text_tokens  # that a model reads of a text, whatever it could read
OWN_SHARE = LIMITS.own_models_share  # of these, for one session
HUB = LIMITS.hub  # whether there are models from the hub
HUB_TOKEN = LIMITS.hub_token  # whether visitors read what this machine's HF_TOKEN may read
THREADS = LIMITS.threads  # per run: many sessions share the cores
LONGEST_NAME = 200  # characters of a model's name
OWN = "session:"  # how the names of a session's own models begin
MOST_OWN = 3
ELSEWHERE = (
    "This model was uploaded or trained in another session, and lived only there. Pick one in the sidebar, or train "
    "one on the page “Watch attention form”."
)

_held: OrderedDict[str, tuple[Model, int]] = (
    OrderedDict()
)  # the shared models and their bytes, the last used at the end
_owned: weakref.WeakSet[Model] = weakref.WeakSet()  # the sessions' own ones
_lock = threading.Lock()  # guards both
_gate = threading.RLock()  # one model is loaded at a time: what it takes is known, and taken from nobody else


@dataclass(frozen=True, eq=False)
class Run:
    """A text's run, ready for the browser."""

    message: bytes  # what the view draws
    n_tokens: int
    cut: int  # tokens left out, because the model reads no more
    longest: int  # tokens that are read of a text
    could_read: int  # and that the model could read
    unknown: tuple[str, ...]  # what of the text the vocabulary has no token for
    read_instead: str  # the token that stands there; "" where all is known
    labels: tuple[str, ...]
    n_layers: int
    n_heads: int
    moved: tuple[tuple[float, ...], ...] | None  # relative change per layer and token, if something was changed


def model(name: str) -> Model:
    """A loaded model, or one of this session's own. Errors: ModelError, also for what no visitor may name."""
    check_name(name)
    if name.startswith(OWN):
        return own_models()[name]
    with _lock:
        if name in _held:  # Streamlit's cache is slow to ask: for who comes while it is loaded
            _held.move_to_end(name)
            return _held[name][0]
    asked_by_page = get_script_run_ctx(suppress_warning=True) is not None
    with st.spinner("Loading the model …") if asked_by_page and name not in loaded() else nullcontext():
        shared = _shared(name)
    with _lock:
        _held.setdefault(name, (shared, n_bytes(shared)))
    return shared


def check_name(name: str) -> None:
    """Errors: ModelError unless a visitor may ask for it: the catalogue, hf:org/name, and this session's own models.

    A folder of the server's is none of these, whatever page and parameter it comes by.
    """
    check_length(name)
    if name.startswith(OWN):
        if name not in own_models():
            raise ModelError(ELSEWHERE)
        return
    if name.startswith("hf:") and not HUB:
        raise ModelError("This server reads no models from the Hugging Face hub. Pick one in the sidebar.")
    known = {info.name for info in shared_infos()}
    if name.startswith("scratch:") and name.partition("?")[0] not in known:
        presets = ", ".join(one for one in model_names() if one.startswith("scratch:"))
        raise ModelError(f"There is no untrained model “{name[:LONGEST_NAME]}”. There are {presets}.")
    if name.startswith(programs.PREFIX):
        if library.listing(name.removeprefix(programs.PREFIX)) is None:
            listed = ", ".join(programs.PREFIX + one.name for one in library.LISTINGS)
            raise ModelError(f"There is no program “{name[:LONGEST_NAME]}”. There are {listed}.")
    elif name not in known and not name.startswith(("scratch:", "hf:")):
        raise ModelError(f"There is no model “{name[:LONGEST_NAME]}”. Pick one, or type hf:org/name.")


def check_length(name: str) -> None:
    """Errors: ModelError if a model's name is longer than any."""
    if len(name) > LONGEST_NAME:
        raise ModelError(
            f"What you typed has {len(name):,} characters; a model’s name of at most {LONGEST_NAME} is read. "
            "It stays for you to shorten."
        )


def own_models() -> dict[str, Model]:
    """The models that were trained or uploaded in this session, by name, the oldest first."""
    models: dict[str, Model] = st.session_state.setdefault("own models", {})
    return models


def bring(
    load_one: Callable[[Callable[[int], None]], Model], own: dict[str, Model], wanted: Callable[[], bool]
) -> Model:
    """Loads a model for the session that has these of its own, from any thread; one loads at a time, in all sessions.

    It counts among the sessions' own ones from then on. Arguments: `wanted`, as in `isolated_tokenizer.Waiting`, which
    others need not wait for. Errors: those of `load_one`, and ModelError if there is no room, before memory is taken.
    """
    with _gate, while_wanted(Waiting(wanted, _others_load)):
        new = load_one(lambda n_new: _check_room(own, n_new))
        _owned.add(new)
        return new


@contextmanager
def _others_load() -> Iterator[None]:
    _gate.release()
    try:
        yield
    finally:
        _gate.acquire()


def keep(new: Model, source: str = "trained in this session") -> str:
    """Adds a model to this session's own, in the place of the oldest of many; returns its name.

    Errors: ModelError if the session's own models, or all sessions', would take more memory than there is for them.
    """
    models, state = own_models(), st.session_state
    with _gate:
        _owned.discard(new)
        _check_room(models, n_bytes(new))
        name, number = f"{OWN}{secrets.token_hex(8)}", state.get("own models so far", 0) + 1
        title = f"Yours {number}: {new.info.title}"
        info = replace(new.info, name=name, title=title, source=source)
        kept = replace(new, info=info, most_tokens=MAX_TEXT_TOKENS)
        for oldest in _replaced(models):
            _owned.discard(models.pop(oldest))
        _owned.add(kept)
        models[name] = kept
    state["own models so far"] = number
    reloads.keep(**{"own models": models, "own models so far": number})
    return name


def _replaced(own: dict[str, Model]) -> list[str]:
    """The models of a session that go when another comes."""
    return list(own)[: max(0, len(own) + 1 - MOST_OWN)]


def _check_room(own: dict[str, Model], n_new: int) -> None:
    """Errors: ModelError if a model of so many bytes is more than its session, or all together, may have."""
    goes = [own[name] for name in _replaced(own)]
    stays = sum(map(n_bytes, own.values())) - sum(map(n_bytes, goes))
    if stays + n_new > OWN_SHARE:
        raise ModelError(
            f"The model takes {n_new:,} bytes beside {stays:,} of your others: more than the {OWN_SHARE:,} that this "
            "server has for one visitor."
        )
    if own_bytes(without=goes) + n_new > OWN_BYTES:
        reloads.forget_absent()
    before = own_bytes(without=goes)
    if before + n_new > OWN_BYTES:
        raise ModelError(
            f"The model takes {n_new:,} bytes and those of all sessions {before:,}: more than the "
            f"{OWN_BYTES:,} that this server has for them. Try again later."
        )


def own_bytes(without: Sequence[Model] = ()) -> int:
    """Bytes of the sessions' own models, all sessions together, but for some."""
    return sum(map(n_bytes, set(_owned))) - sum(map(n_bytes, without))


def loaded() -> dict[str, int]:
    """The shared models that are in memory now, by name, with their bytes."""
    with _lock:
        return {name: size for name, (_, size) in _held.items()}


def n_bytes(counted: Model) -> int:
    """Bytes of a model's weights, those that two parts share counted once."""
    tensors = [*counted.transformer.parameters(), *counted.transformer.buffers()]
    return sum({x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}.values())


@st.cache_resource(show_spinner=False)  # many sessions that ask at once make it load once
def _shared(name: str) -> Model:
    torch.set_num_threads(THREADS)
    with _gate:
        with strangers.asking(strangers.Terms(_make_room, with_token=HUB_TOKEN)):
            loaded_model = replace(load(name, max_bytes=MAX_MODEL_BYTES), most_tokens=MAX_TEXT_TOKENS)
        with _lock:
            _held[name] = loaded_model, n_bytes(loaded_model)
    gc.collect()
    gc.freeze()  # or every rerun's garbage collection walks through all of torch
    return loaded_model


def _make_room(n_new: int) -> None:
    """Forgets the shared models that were not used for longest, until there is room for one of so many bytes.

    Who runs one of these at the moment keeps it until that run is done.
    """
    with _lock:
        dropped = []
        while _held and sum(size for _, size in _held.values()) + n_new > MODELS_BYTES:
            dropped.append(_held.popitem(last=False)[0])
    for name in dropped:
        _shared.clear(name)
    if dropped:
        gc.unfreeze()  # what is frozen and goes round in circles would stay for ever
        gc.collect()
        gc.freeze()


@store.kept()
def run(name: str, text: str, change: Intervention | None) -> Run:
    """One text through one model; with a change, beside the run without it. Errors: as `Model.run`."""
    loaded_model = model(name)
    plain = loaded_model.run(text)
    changed = None if change is None or change.changes_nothing else loaded_model.run(text, intervention=change)
    moved = None
    if changed is not None:
        moved = tuple(map(tuple, measures.relative_change(plain, changed)[:, 0].tolist()))
    encoding, config = plain.encodings[0], plain.config
    return Run(
        message=attention_message.pack(changed or plain, name=name, before=None if changed is None else plain),
        n_tokens=len(encoding),
        cut=encoding.cut,
        longest=loaded_model.longest,
        could_read=config.max_len,
        unknown=encoding.unknown,
        read_instead=next((token for token in encoding.tokens if token in UNKNOWN), ""),
        labels=encoding.labels,
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        moved=moved,
    )


@store.kept()
def trace(name: str, text: str, change: Intervention | None = None) -> Trace:
    """One short text through one model, with everything that it computed. Errors: as `Model.run`."""
    return model(name).run(text, intervention=change)


@store.kept()
def shortened(name: str, text: str, n_tokens: int) -> tuple[str, int]:
    """The start of a text that makes at most so many tokens, special ones counted, and how many are left out."""
    loaded_model = model(name)
    n_tokens = min(n_tokens, loaded_model.longest)
    encoding = loaded_model.encode(text)  # which the page asks for again, and the model remembers
    if not encoding.cut and len(encoding) <= n_tokens:
        return text, 0
    encoding = loaded_model.tokenizer.encode(text)
    around = sum(encoding.special)
    ends = [end for (_, end), special in zip(encoding.offsets, encoding.special, strict=True) if not special]
    for kept in range(n_tokens - around, 0, -1):  # cut in the middle of a word, the rest may become other pieces
        short = text[: ends[kept - 1]]
        if len(loaded_model.tokenizer.encode(short)) <= n_tokens:
            return short, len(encoding) - around - kept
    return text[:1], len(encoding) - around - 1


@lru_cache
def shared_infos() -> tuple[ModelInfo, ...]:
    """The catalogue, which stays as it is while the server runs."""
    return tuple(catalogue())


def model_names() -> dict[str, str]:
    """The models that run on one text alone, name → title with its size; this session's own ones first."""
    own_infos = [one.info for one in own_models().values() if reads(one.transformer.config) == "text"]
    shared = [info for info in shared_infos() if info.family not in ("Encoder-decoder", "Vision")]
    return {info.name: sized(info) for info in (*own_infos, *shared) if info.name != "scratch:test"}


def title(name: str) -> str:
    """What a model is called in lists and in the line about a page, with its size; its name where it is in no list."""
    listed = {one.info.name: one.info for one in own_models().values()} | {info.name: info for info in shared_infos()}
    return sized(listed[name]) if name in listed else name


def sized(info: ModelInfo) -> str:
    """A model's title with its size."""
    return f"{info.title} ({info.n_layers} × {info.n_heads} heads)"


def reads(config: ModelConfig) -> str:
    """What a model is given: a "text", a "pair" of texts, one per stack, an "image" or a "sound".

    "other" of a decoder's text with another input than text: no page has both.
    """
    if config.kind == "encoder-decoder":
        return "pair" if config.reads == "text" else "other"
    return config.reads
