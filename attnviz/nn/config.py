"""The sizes and choices that make a transformer, as one flat, frozen, validated dataclass."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from attnviz.errors import InvalidParameterError, no_json
from attnviz.nn import positions as encodings
from attnviz.nn.checks import (
    check_bool,
    check_divisible,
    check_finite,
    check_index,
    check_probability,
    check_sizes,
)

KINDS = ("encoder", "decoder", "encoder-decoder")
ACTIVATIONS = ("relu", "gelu", "gelu_tanh")
POSITIONS = encodings.SCHEMES
HEADS = (None, "lm", "classification", "distillation")
MAX_LAYERS = 512
MAX_PATCHES = 16_384  # of an image: their attention already takes 1 GB a head
MAX_PARAMETERS = 2_000_000_000  # 8 GB as float32: refused before memory is taken


@dataclass(frozen=True)
class ModelConfig:
    """A transformer's shape. Errors: InvalidParameterError with the offending numbers.

    Arguments
        kind: "encoder" (BERT), "decoder" (GPT: causal) or "encoder-decoder" (the original transformer).
        vocab_size, max_len: tokens known, and tokens in a text at most; with images see `for_images`.
        d_model, n_heads, n_layers, d_ff: width C, heads H (dividing C), layers per stack, feed-forward width
            (0: layers of attention only).
        norm_first: pre-norm (GPT-2) instead of post-norm (BERT, Vaswani et al.).
        final_norm: a LayerNorm after the last layer, usual with pre-norm.
        norms: whether the layers have LayerNorms; False only for weights that are written by hand.
        positions: one of `positions.SCHEMES`: "none", "sinusoidal", "learned", "rope", "alibi".
        n_types: segment embeddings (BERT has 2), 0 for none; embed_norm: a LayerNorm on the embeddings.
        head: None, "lm" (a score per token of the vocabulary), "classification" (n_classes scores a text or image) or
            "distillation" (the mean of two classifiers, on the class token and the distillation token).
        tied: the language-model head reuses the embedding matrix.
        head_transform: BERT's dense layer and norm before that head.
        image_size, patch_size, channels: of a vision transformer, which reads images of image_size × image_size
            pixels in square patches after a class token; 0: it reads token ids. Dosovitskiy et al. 2021, section 3.1.
        distilled: a second token after the class token. Touvron et al. 2021, section 4.
    """

    kind: str = "encoder"
    vocab_size: int = 256
    max_len: int = 512
    d_model: int = 64
    n_heads: int = 4
    n_layers: int = 2
    d_ff: int = 256
    activation: str = "gelu"
    norm_first: bool = False
    norm_eps: float = 1e-5
    final_norm: bool = False
    norms: bool = True
    bias: bool = True
    dropout: float = 0.0
    positions: str = "learned"
    n_types: int = 0
    embed_norm: bool = False
    head: str | None = None
    n_classes: int = 0
    tied: bool = True
    head_transform: bool = False
    image_size: int = 0
    patch_size: int = 0
    channels: int = 0
    distilled: bool = False

    def __post_init__(self) -> None:
        check_sizes(max_len=self.max_len, d_model=self.d_model, n_heads=self.n_heads, n_layers=self.n_layers)
        check_divisible("d_model", self.d_model, "n_heads", self.n_heads)
        check_probability("dropout", self.dropout)
        check_sizes(0, d_ff=self.d_ff)
        for name in ("n_types", "n_classes"):
            check_index(name, getattr(self, name))
        for name in ("norm_first", "final_norm", "norms", "bias", "embed_norm", "tied", "head_transform", "distilled"):
            check_bool(name, getattr(self, name))
        if check_finite("norm_eps", self.norm_eps) <= 0:
            raise InvalidParameterError(f"norm_eps={self.norm_eps} is not positive")
        if self.n_layers > MAX_LAYERS:
            raise InvalidParameterError(f"n_layers={self.n_layers} is more than the {MAX_LAYERS} allowed")
        for name, allowed in CHOICES.items():
            if not any(getattr(self, name) == value for value in allowed):
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} is not one of {allowed}")
        self.scheme.check(self.d_model, self.head_dim)
        self._check_classes()
        self._check_input()
        if self.n_parameters > MAX_PARAMETERS:
            raise InvalidParameterError(
                f"{self.n_parameters:,} parameters are more than the {MAX_PARAMETERS:,} allowed"
            )

    def _check_classes(self) -> None:
        """As many as a classifier has weights for: of another model any number of classes would count as none."""
        if self.head in ("classification", "distillation"):
            if self.n_classes < 2:
                raise InvalidParameterError(f"n_classes={self.n_classes} is below 2 for a {self.head} head")
        elif self.n_classes:
            raise InvalidParameterError(f"n_classes={self.n_classes} without a classifier: head={self.head!r}")

    def _check_input(self) -> None:
        """Token ids or images, not a little of both."""
        check_sizes(0, channels=self.channels, image_size=self.image_size, patch_size=self.patch_size)
        if self.head == "distillation" and not self.distilled:
            raise InvalidParameterError("head='distillation' needs distilled=True: it reads the distillation token")
        if not self.channels:
            check_sizes(vocab_size=self.vocab_size)
            if self.image_size or self.patch_size or self.distilled:
                raise InvalidParameterError("image_size, patch_size and distilled need channels=1 or more")
            return
        if self.kind != "encoder" or self.head == "lm" or self.n_types or self.vocab_size:
            raise InvalidParameterError(
                f"a model of images is an encoder without vocabulary, segments or head='lm', not kind={self.kind!r}, "
                f"vocab_size={self.vocab_size}, n_types={self.n_types}, head={self.head!r}"
            )
        n_tokens = _image_tokens(self.image_size, self.patch_size, self.distilled)
        if self.max_len != n_tokens:
            raise InvalidParameterError(f"max_len={self.max_len}, but such an image makes {n_tokens} tokens")

    @classmethod
    def for_images(
        cls, image_size: int, patch_size: int, channels: int, *, distilled: bool = False, **others: Any
    ) -> ModelConfig:
        """A vision transformer: no vocabulary, and as many tokens as patches and special tokens. Errors: as above."""
        check_sizes(channels=channels)
        max_len = _image_tokens(image_size, patch_size, distilled)
        return cls(
            vocab_size=0,
            max_len=max_len,
            image_size=image_size,
            patch_size=patch_size,
            channels=channels,
            distilled=distilled,
            **others,
        )

    @property
    def n_special(self) -> int:
        """Tokens before the patches of an image: the class token, and the distillation token; 0 for text."""
        return 1 + self.distilled if self.channels else 0

    @property
    def scheme(self) -> encodings.Scheme:
        """The description of its positional encoding."""
        return encodings.described(self.positions)

    @property
    def reads(self) -> str:
        """What it is given, or its encoder: a "text" or an "image"; in other libraries' models also a "sound"."""
        return "image" if self.channels else "text"

    @property
    def special_names(self) -> tuple[str, ...]:
        """Of the tokens before the patches of an image: the class token, and DeiT's distillation token."""
        return ("[CLS]", "[DIST]")[: self.n_special]

    @property
    def ends_normed(self) -> bool:
        """Whether the last hidden state is the one after the final norm: not so in Hugging Face's models of images."""
        return not self.channels

    @property
    def head_dim(self) -> int:
        """Head width D = C / H."""
        return self.d_model // self.n_heads

    @property
    def n_parameters(self) -> int:
        """How many numbers the model holds (biases and norms included), without building it."""
        c, f, b = self.d_model, self.d_ff, int(self.bias)
        attention = 4 * c * c + 4 * c * b
        norm, between = c + c * b, (c + c * b) * self.norms
        layer = attention + between + (2 * c * f + (c + f) * b + between if f else 0)
        stacks = self.n_layers * layer
        if self.kind == "encoder-decoder":
            stacks += self.n_layers * (layer + attention + between) + norm * self.final_norm
        embed = (self.vocab_size + self.max_len * self.scheme.learned + self.n_types + self.n_special) * c
        if self.channels:
            embed += c * (self.channels * self.patch_size**2 + 1)
        head = 0
        if self.head == "lm":
            head = self.vocab_size + self.vocab_size * c * (not self.tied)
            head += self.head_transform * (c * c + c + 2 * c)
        if self.head in ("classification", "distillation"):
            head = self.n_classes * (c + 1) * (1 + (self.head == "distillation"))
        return stacks + embed + 2 * c * self.embed_norm + norm * self.final_norm + head

    def to_json(self) -> str:
        """All fields as JSON; `from_json` gives an equal config."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Errors: InvalidParameterError if it is no JSON object, or names a field that does not exist."""
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidParameterError(f"the config is not JSON: {no_json(error)}") from None
        if not isinstance(given, dict):
            raise InvalidParameterError(f"the config is a JSON {type(given).__name__}, not an object")
        unknown = sorted(set(given) - {field.name for field in fields(cls)})
        if unknown:
            # a stranger's: on one line, and not many
            names = ", ".join(name[:40] if name.isprintable() else repr(name[:40]) for name in unknown[:5])
            raise InvalidParameterError(f"the config names unknown fields: {names}")
        return cls(**given)


def _image_tokens(image_size: int, patch_size: int, distilled: bool) -> int:
    """Patches and special tokens of an image. Errors: InvalidParameterError."""
    check_sizes(image_size=image_size, patch_size=patch_size)
    check_divisible("image_size", image_size, "patch_size", patch_size)
    n_patches = (image_size // patch_size) ** 2
    if n_patches > MAX_PATCHES:
        raise InvalidParameterError(f"{n_patches:,} patches are more than the {MAX_PATCHES:,} allowed")
    return n_patches + 1 + distilled


CHOICES: dict[str, tuple[Any, ...]] = {
    "kind": KINDS,
    "activation": ACTIVATIONS,
    "positions": POSITIONS,
    "head": HEADS,
}

_VASWANI = ModelConfig(
    kind="encoder-decoder",
    d_model=512,
    n_heads=8,
    n_layers=6,
    d_ff=2048,
    activation="relu",
    positions="sinusoidal",
    head="lm",
)
_BERT = ModelConfig(
    d_model=256,
    n_heads=4,
    n_layers=4,
    d_ff=1024,
    norm_eps=1e-12,
    n_types=2,
    embed_norm=True,
    head="lm",
    head_transform=True,
)
_GPT = ModelConfig(
    kind="decoder",
    d_model=256,
    n_heads=4,
    n_layers=4,
    d_ff=1024,
    activation="gelu_tanh",
    norm_first=True,
    final_norm=True,
    head="lm",
)

PRESETS: dict[str, ModelConfig] = {
    "tiny": ModelConfig(),
    "base": _VASWANI,  # the original transformer's base model (Vaswani et al. 2017, table 3)
    "bert": _BERT,  # BERT's architecture (Devlin et al. 2019) at the size of BERT-mini (Turc et al. 2019)
    "gpt": _GPT,  # GPT-2's architecture (Radford et al. 2019) at the same size
    "test": ModelConfig(d_model=16, n_heads=2, d_ff=32, vocab_size=64, max_len=64),
}


def preset(name: str, **changes: Any) -> ModelConfig:
    """A preset, with some fields changed. Errors: InvalidParameterError for an unknown name or value."""
    if name not in PRESETS:
        raise InvalidParameterError(f"preset {name!r} is not one of {', '.join(PRESETS)}")
    return replace(PRESETS[name], **changes)
