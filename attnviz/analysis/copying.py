"""Does a head copy? The eigenvalues of what it writes about a token that it looks at, in logits.

    OV circuit     W_E W_V W_O W_U, vocabulary by vocabulary: what looking at one token does to the logit of each
    copying        Σ Re λ / Σ |λ|: 1 where every token that is seen becomes likelier, −1 where each becomes less likely

The matrix has the rank of a head, so its eigenvalues are those of a small one. Weights of norms are folded into their
neighbours and means taken out, as in TransformerLens; their scale is positive and changes no sign. It is the way from
the embedding straight through this head to the logits: what other layers add on the way is not in it.
Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits", section "Copying / primitive in-context
learning"; for induction heads Olsson et al. 2022, appendix.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from attnviz.analysis import patching
from attnviz.analysis.sites import Place, Site, attention, block
from attnviz.errors import InvalidParameterError
from attnviz.models.hf_model import HFModel
from attnviz.nn.transformer import Transformer

SURE = 1.96  # standard deviations that hold 95 %


def scores(model: Transformer) -> Tensor:
    """How far each head copies: (L, H), −1 … 1; 0 of a head that writes nothing.

    Errors: InvalidParameterError in a sentence for a model in which the circuit cannot be read.
    """
    place = _readable(model)
    embed, head = cast(nn.Embedding, model.embed["tokens"]), cast(Any, model.head)
    with torch.inference_mode():
        rows, unembed = embed.weight.double(), head["out"].weight.double()
        if model.config.norms:
            rows = rows - rows.mean(dim=1, keepdim=True)
        norm = cast(Any, model.encoder if place == "encoder" else model.decoder)["norm"]
        if isinstance(norm, nn.LayerNorm):
            unembed = unembed * norm.weight.double()
            unembed = unembed - unembed.mean(dim=1, keepdim=True)
        around = unembed.T @ rows  # (C, C): from what a head writes back to what it reads, over all tokens
        return torch.stack([_layer(model, Site(place, n), around) for n in range(model.config.n_layers)])


def scores_if_read(model: Transformer) -> Tensor | None:
    """The same; None for a model in which the circuit cannot be read."""
    try:
        return scores(model)
    except InvalidParameterError:
        return None


def by_chance(head_dim: int) -> float:
    """What 95 % of heads with random weights stay within, on either side of 0.

    The trace of a random matrix of n rows has the deviation √n, and its eigenvalues fill a disk: Σ |λ| ≈ ⅔ n √n.
    """
    return SURE * 1.5 / head_dim


def _readable(model: Transformer) -> Place:
    config = model.config
    if isinstance(model, HFModel) or not hasattr(model, "embed"):
        raise InvalidParameterError("a model that is not made of our layers does not show its OV circuits")
    if config.kind == "encoder-decoder" or config.head != "lm" or config.channels:
        raise InvalidParameterError("an OV circuit leads from tokens to the logits of tokens, which this model has not")
    if config.head_transform or config.embed_norm or (config.norms and not config.norm_first):
        raise InvalidParameterError("a norm stands between this model’s layers, or a network before its logits")
    return "decoder" if config.kind == "decoder" else "encoder"


def _layer(model: Transformer, site: Site, around: Tensor) -> Tensor:
    """(H,)."""
    module, norm = attention(model, site), block(model, site).norm1
    v = module.in_proj_weight.chunk(3)[2].double().unflatten(0, (module.num_heads, -1))  # (H, D, C)
    if isinstance(norm, nn.LayerNorm):
        v = v * norm.weight.double()
    o = patching.head_weights(model, site).double()  # (H, D, C)
    eigenvalues = torch.linalg.eigvals(o @ around @ v.mT)  # (H, D)
    sizes = eigenvalues.abs().sum(dim=1)
    return torch.where(sizes > 0, eigenvalues.real.sum(dim=1) / sizes.clamp_min(1e-300), 0.0)
