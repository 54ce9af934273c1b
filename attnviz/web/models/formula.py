"""How many parameters the parts of a model have: the formula in letters and numbers, and where each part comes from."""

from __future__ import annotations

from dataclasses import dataclass

from attnviz.formatting import listed
from attnviz.models.hf_config import HFConfig
from attnviz.nn.config import ModelConfig

PHONE = 33  # signs in a line that a phone shows
OTHERS = (
    r"\begin{aligned}\text{attention}\quad&W_Q,\;W_K,\;W_V,\;W_O\\"
    r"\text{feed-forward}\quad&\sigma(x\,W_1+b_1)\,W_2+b_2\end{aligned}"
)
OTHERS_SOURCE = (
    "Attention: Vaswani et al. 2017, section 3.2.2. Feed-forward: section 3.3, equation 2. Which of these this model "
    "has, with biases or without, is up to its own code: its tensors are counted, not worked out by a formula."
)


@dataclass(frozen=True)
class Count:
    """How many parameters a part has."""

    part: str
    letters: str  # LaTeX
    filled: str  # the same with numbers
    n: int


def counts(config: ModelConfig) -> list[Count]:
    """Of the embeddings, and of attention, feed-forward network and LayerNorm in one layer."""
    c, f, biased = config.d_model, config.d_ff, config.bias
    rows = [_embeddings(config)]
    rows.append(
        Count("attention", "4C^2" + "+4C" * biased, f"4·{c}^2" + f"+4·{c}" * biased, 4 * c * c + 4 * c * biased)
    )
    if f:
        filled = f"2·{_n(c)}·{_n(f)}" + f"+{_n(f)}+{_n(c)}" * biased
        rows.append(Count("feed-forward", "2CF" + "+F+C" * biased, filled, 2 * c * f + (f + c) * biased))
    rows.append(Count("LayerNorm", "2C" if biased else "C", f"2·{c}" if biased else _n(c), c + c * biased))
    return rows


def _embeddings(config: ModelConfig) -> Count:
    """Tables with a row of width C for each token, position and segment; of images, a linear map of patches.

    A LayerNorm on their sum is counted with them, as in the diagram.
    """
    if config.channels:
        n_pixels = config.channels * config.patch_size**2
        tables = [("KP^2+1", f"{config.channels}·{config.patch_size}^2+1", n_pixels + 1)]
        tables.append(("S", str(config.n_special), config.n_special))
    else:
        tables = [("V", _n(config.vocab_size), config.vocab_size)]
    if config.scheme.learned:
        tables.append(("T", _n(config.max_len), config.max_len))
    if config.n_types:
        tables.append(("G", str(config.n_types), config.n_types))
    letters, filled = ("+".join(str(table[i]) for table in tables) for i in (0, 1))
    if len(tables) > 1:
        letters, filled = f"({letters})", f"({filled})"
    c, norm = config.d_model, config.embed_norm
    filled = f"{filled}·{_n(c)}" + f"+2·{c}" * norm
    n = (sum(table[2] for table in tables) + 2 * norm) * c
    return Count("embeddings", rf"{letters}\,C" + "+2C" * norm, filled, n)


def formula(config: ModelConfig) -> str:
    """The counts as LaTeX: in letters, in numbers, and worked out."""
    if isinstance(config, HFConfig):
        return OTHERS
    rows = [line for one in counts(config) for line in _lines(one)]
    return r"\begin{aligned}" + r"\\".join(rows).replace("·", r"\cdot ") + r"\end{aligned}"


def _lines(one: Count) -> list[str]:
    """A count in letters, and under it in numbers: on one line they would be too wide for a phone."""
    letters, worked_out = rf"&\text{{{one.part}}}\quad {one.letters}", f"={_n(one.n)}"
    if len((one.filled + worked_out).replace("{,}", ",")) <= PHONE:
        return [letters, rf"&\quad={one.filled}{worked_out}"]
    return [letters, rf"&\quad={one.filled}", rf"&\quad{worked_out}"]


def source(config: ModelConfig) -> str:
    """What the letters stand for, and where each part was first described."""
    if isinstance(config, HFConfig):
        return OTHERS_SOURCE
    letters = ["C is the width"]
    if config.channels:
        tokens = "the class token" if config.n_special == 1 else "class and distillation token"
        letters += ["K the colour channels", "P the side of a patch in pixels", f"S {tokens}"]
    else:
        letters += ["V the tokens known"]
    letters += ["T the positions"] * config.scheme.learned + ["G the segments"] * bool(config.n_types)
    letters += ["F the feed-forward width"] * bool(config.d_ff)
    of_layer = "Attention, feed-forward and LayerNorm are" if config.d_ff else "Attention and LayerNorm are"
    counted = f"{listed(letters)}. {of_layer} counted once, for one layer."
    if config.embed_norm:
        counted += " The 2C of the embeddings are the LayerNorm after them."
    return " ".join([counted, *_papers(config)])


def _papers(config: ModelConfig) -> list[str]:
    biases = ", where the projections have no biases: BERT’s and GPT-2’s code adds them" * config.bias
    papers = [f"Attention: Vaswani et al. 2017, section 3.2.2{biases}."]
    if config.d_ff:
        gelu = ", with GELU (Hendrycks and Gimpel 2016, section 2) for ReLU" * config.activation.startswith("gelu")
        papers.append(f"Feed-forward: Vaswani et al. 2017, section 3.3{gelu}.")
    else:
        papers.append("Layers of attention alone: Elhage et al. 2021.")
    place = (
        "before each sublayer: Xiong et al. 2020" if config.norm_first else "after each sublayer: Vaswani et al. 2017"
    )
    section = "section 3" if config.norm_first else "section 3.1"
    papers.append(f"LayerNorm: Ba et al. 2016, section 3; {place}, {section}.")
    papers.append(config.scheme.paper)
    if config.n_types:
        papers.append("Segments: Devlin et al. 2019, section 3.")
    if config.channels:
        distilled = "; a second token to distil into: Touvron et al. 2021, section 4" * config.distilled
        papers.append(f"Patches and class token: Dosovitskiy et al. 2021, section 3.1{distilled}.")
    if config.head == "lm" and config.tied:
        papers.append("One matrix for embedding and output: Press and Wolf 2017.")
    return papers


def _n(n: int) -> str:
    return f"{n:,}".replace(",", "{,}")
