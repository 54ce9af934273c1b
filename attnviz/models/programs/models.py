"""A program as a model that one can run on a text: its transformer, and a tokenizer of its letters."""

from __future__ import annotations

from dataclasses import dataclass

from attnviz.errors import ModelError
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.model import Model, ModelInfo
from attnviz.models.programs import library
from attnviz.models.programs.compiler import Compiled, compiled, shown
from attnviz.models.programs.language import Program

PREFIX = "program:"  # of the names that `load` takes
START = "[BOS]"
NOTHING = "_"  # what is said at a place that has no value
FAMILY = "Program"


@dataclass(frozen=True, eq=False)
class Programmed:
    """A program, its transformer and the model around it."""

    compiled: Compiled
    model: Model

    @property
    def program(self) -> Program:
        """What it was made from."""
        return self.compiled.program

    def meaning(self, text: str) -> str:
        """What the program says at each letter of a text, without a transformer. Errors: as `Program.meaning`."""
        return "".join(NOTHING if value is None else shown(value) for value in self.program.meaning(text))


def programmed(program: Program, name: str, title: str) -> Programmed:
    """A program as a model. Errors: InvalidParameterError for a program that cannot be one, in a sentence."""
    said = {shown(value) for value in program.output.domain}
    letters = sorted({*program.alphabet, NOTHING, *(value for value in said if len(value) == 1)})
    tokenizer = Tokenizer.train_char(["".join(letters)], start=START, end=None)
    known = tokenizer.library.get_vocab()
    ids = {letter: known[letter] for letter in letters}
    made = compiled(program, ids, tokenizer.vocab_size, known[START], ids[NOTHING])
    config = made.transformer.config
    info = ModelInfo(
        name,
        title,
        FAMILY,
        config.n_layers,
        config.n_heads,
        config.d_model,
        config.max_len,
        config.n_parameters,
        trained=False,
        source="written by attnviz from a program: no weight was trained",
    )
    return Programmed(made, Model(info, made.transformer, tokenizer))


def listed(name: str) -> Programmed:
    """One of `library.LISTINGS` by its name, with or without “program:” before it. Errors: ModelError."""
    plain = name.removeprefix(PREFIX)
    if library.listing(plain) is None:
        known = ", ".join(PREFIX + one.name for one in library.LISTINGS)
        raise ModelError(f"There is no program {plain[:60]!r}. Known are {known}.")
    title = next(one.title for one in library.LISTINGS if one.name == plain)
    return programmed(library.program(plain), PREFIX + plain, f"Program: {title}")
