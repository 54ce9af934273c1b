"""attnviz: an interactive laboratory for transformer attention."""

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
    "attend",
    "catalogue",
    "load",
    "preset",
]
