"""The shape of a model that another library computes."""

from __future__ import annotations

from dataclasses import dataclass

from attnviz.models.hf_heads import LM, SECOND_CLASSES
from attnviz.nn.config import ModelConfig


@dataclass(frozen=True)
class HFConfig(ModelConfig):
    """The shape of a model that another library computes: what is known of it. Positions and norms are its own."""

    architecture: str = ""  # its model_type, such as "llama"
    kv_heads: int = 0  # key and value heads of grouped-query attention; n_heads where each query has its own
    width: int = 0  # of a head
    parameters: int = 0
    start_id: int | None = None  # what an encoder-decoder's target begins with
    segments: int = 0  # kinds of segments that a pair of texts may have
    attends: tuple[int, ...] = ()  # numbers of the layers that attend, where others do something else
    special: int = 0  # tokens before an image's patches: a class token, and registers
    reads: str = "text"  # or "image", "sound": what the model, or its encoder, is given
    normed: bool = True  # whether its last hidden state is the one after the final norm
    lacks: tuple[str, ...] = ()  # what its layers do not show, a sentence each
    second_head: str | None = None  # of pre-training, beside the words': "next-sentence" or "sentence-order"

    def __post_init__(self) -> None:
        """Nothing to check: the sizes are those of a model that ran."""

    @property
    def head_dim(self) -> int:
        return self.width

    @property
    def n_parameters(self) -> int:
        return self.parameters

    @property
    def n_special(self) -> int:
        return self.special

    @property
    def special_names(self) -> tuple[str, ...]:
        return ("[CLS]", *(f"[REG{i}]" for i in range(1, self.special)))[: self.special]

    @property
    def ends_normed(self) -> bool:
        return self.normed

    @property
    def second_classes(self) -> tuple[str, ...]:
        """What the second head's numbers stand for."""
        return SECOND_CLASSES.get(self.second_head or "", ())

    @property
    def reads_itself(self) -> bool:
        """Whether its decoder reads the encoder's text again: encoder-decoders that classify."""
        return self.kind == "encoder-decoder" and self.head not in (None, LM)
