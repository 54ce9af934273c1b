"""A folder's tokenizer as transformers reads it: tokenizer.json, or the older files that are turned into one.

vocab.txt (BERT), vocab.json with merges.txt, a SentencePiece model: the library converts them, without code from the
folder. tokenizer_config.json says which token ends a text, and which other parts special tokens play.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from attnviz.errors import ModelError, check_installed
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models import strangers
from attnviz.models.safetensors_io import read_json

OLDER = ("vocab.json", "merges.txt", "vocab.txt", "*.model", "*.spm", "*.tiktoken", "tekken.json", "sentencepiece*")
ROLES = ("pad", "unk", "mask", "cls", "sep", "bos", "eos")
CONFIG = "tokenizer_config.json"
LOG = logging.getLogger(__name__)


def tokenizer_of(folder: Path) -> Tokenizer:
    """A folder's tokenizer. It may know more tokens than the model has rows: a text with such a one is refused.

    Errors: ModelError in one sentence.
    """
    says = read_json(folder / CONFIG) if (folder / CONFIG).exists() else {}
    isolated, whole = strangers.isolated(), (folder / "tokenizer.json").exists()
    older = sorted({one.name for pattern in OLDER for one in folder.glob(pattern)})
    if not whole and older == ["vocab.txt"]:
        lowercase = bool(says.get("do_lower_case", True))
        return with_roles(Tokenizer.from_wordpiece(folder / "vocab.txt", lowercase=lowercase, isolated=isolated), says)
    if not whole and older:
        return with_roles(
            Tokenizer.from_str(_converted(folder, older, says), name=f"The tokenizer of {folder.name}"), says
        )
    return with_roles(Tokenizer.from_file(folder, isolated=isolated), says)


def _converted(folder: Path, older: list[str], says: dict[str, Any]) -> str:
    """The tokenizer.json that transformers makes of the older files. Errors: ModelError."""
    what = f"The tokenizer of {folder.name} ({', '.join(older)})"
    if strangers.isolated():
        raise ModelError(f"{what} is no tokenizer.json, and others are not read of what comes from anybody.")
    check_installed(what, "transformers")
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        backend = getattr(found, "backend_tokenizer", None)
    except Exception as error:  # the library raises many kinds
        LOG.info("tokenizer", exc_info=error)
        kind = says.get("tokenizer_class")
        why = f"as {kind!r:.60}, which {CONFIG} names" if kind else f"where no {CONFIG} names its class"
        raise ModelError(f"{what} cannot be read {why}.") from error
    if backend is None:
        raise ModelError(f"{what} is of the kind {type(found).__name__}, which has no form as a tokenizer.json.")
    return str(backend.to_str())


def with_roles(tokenizer: Tokenizer, says: dict[str, Any]) -> Tokenizer:
    """The tokenizer with the roles that tokenizer_config.json gives to its special tokens."""
    for role in ROLES:
        number = tokenizer.special_ids.get(_name(says.get(f"{role}_token")) or "")
        if number is not None:
            setattr(tokenizer, f"{role}_id", number)
    return tokenizer


def _name(given: Any) -> str | None:
    """A token's name, which may stand in an object with what else is said of it."""
    if isinstance(given, dict):
        given = given.get("content")
    return given if isinstance(given, str) else None
