"""attnviz: an interactive laboratory for transformer attention.

    model = attnviz.load("minilm")                    # or "hf:org/name", a folder, a model of transformers in memory
    trace = model.run("The cat sat on the mat.")      # all that the model computed, in one frozen object
    attnviz.generate(attnviz.load("austen"), "It is", 20)

Begin with `load`, `Trace` and `Intervention`; `MultiheadAttention` and the layers are drop-ins for torch.nn's. The
wings are imported when they are asked for: attnviz.analysis, browser, figures, generation, inputs, models, nn,
training.
"""

from typing import TYPE_CHECKING

from attnviz.errors import DTypeError, InvalidParameterError, ModelError, ShapeError
from attnviz.models.catalogue import catalogue, load
from attnviz.models.model import Model, ModelInfo
from attnviz.nn.attention import AttentionTrace, attend
from attnviz.nn.config import ModelConfig, preset
from attnviz.nn.intervention import Intervention
from attnviz.nn.layers import LayerTrace, TransformerDecoderLayer, TransformerEncoderLayer
from attnviz.nn.masks import Mask
from attnviz.nn.multihead import MultiheadAttention
from attnviz.nn.stacks import TransformerDecoder, TransformerEncoder
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer
from attnviz.submodules import on_demand

if TYPE_CHECKING:
    from attnviz import analysis, browser, figures, generation, inputs, models, nn, training
    from attnviz.generation.generate import generate
else:
    _wing, __dir__ = on_demand(__name__, __path__)

    def __getattr__(name):
        if name != "generate":
            return _wing(name)
        from attnviz.generation.generate import generate  # with what only some need

        globals()[name] = generate
        return generate


__version__ = "0.1.0"


def _repr_html_(self: Trace) -> str:
    """The attention view in a notebook, without Streamlit."""
    from attnviz.browser import report  # only notebooks need it

    return report.notebook(self)


Trace._repr_html_ = _repr_html_  # type: ignore[attr-defined]  # here, because report builds on Trace

__all__ = [
    "AttentionTrace",
    "DTypeError",
    "Intervention",
    "InvalidParameterError",
    "LayerTrace",
    "Mask",
    "Model",
    "ModelConfig",
    "ModelError",
    "ModelInfo",
    "MultiheadAttention",
    "ShapeError",
    "Trace",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "analysis",
    "attend",
    "browser",
    "catalogue",
    "figures",
    "generate",
    "generation",
    "inputs",
    "load",
    "models",
    "nn",
    "preset",
    "training",
]
