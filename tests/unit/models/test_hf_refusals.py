"""Models that are not looked into: the sentence names the part that stands in the way."""

from __future__ import annotations

from typing import Any

import pytest
import transformers

from attnviz import ModelError
from attnviz.models import hf_loading
from attnviz.models.hf_model import HFModel
from tests.support.zoo import folders, recipes

SAYS = {
    "FNetModel": "fnet has no attention: its layers mix tokens by Fourier transforms",
    "ReformerForMaskedLM": r"reformer attends in code of its own \(LocalSelfAttention\)",
    "LongT5ForConditionalGeneration": r"longt5 attends in its encoder in code of its own \(LongT5LocalAttention\)",
    "PegasusXForConditionalGeneration": r"pegasus_x attends in its encoder in code of its own \(Pegasus",
    "FunnelBaseModel": r"funnel pools its tokens on the way \(32, 16, 8 in the layers of its encoder\)",
    "PerceiverForMaskedLM": "perceiver reads 'inputs', which is neither a text nor an image nor a sound",
    "Siglip2VisionModel": "does not run on an image alone, without pixel_attention_mask, spatial_shapes: it stops",
    "ViltModel": "vilt does not run on a text alone, without pixel_values: it stops",
    "BrosModel": "bros does not run on a text alone, without bbox: it stops",
    "ProphetNetForConditionalGeneration": r"in its part prophetnet\..*self_attn \(ProphetNet\w+\): its weights are no",
    "ClapAudioModel": "clap_audio_model merges its patches from stage to stage",
    "BarkModel": "bark has no forward pass of its own, only those of its parts",
}


@pytest.mark.parametrize("name", SAYS)
def test_the_sentence_names_the_part(name: str) -> None:
    with pytest.raises(ModelError, match=SAYS[name]):
        HFModel(_ours(name))


def test_windows_are_named_where_no_patches_are_merged() -> None:
    with pytest.raises(ModelError, match="swin attends inside windows, which are shifted in every other layer"):
        HFModel(_ours("SwinModel", num_heads=[4, 4]))


def test_what_a_library_shows_in_one_part_alone_is_watched_in_both() -> None:
    model = HFModel(_ours("BigBirdPegasusForConditionalGeneration"))
    assert model.watched and model.config.kind == "encoder-decoder"


def _ours(name: str, **changes: Any) -> Any:
    """A model of this class that attends by our attention, where it lets anybody."""
    kind = getattr(transformers, name)
    config = recipes.config(kind)
    for setting, value in changes.items():
        setattr(config, setting, value)
    with folders.quietly():
        inner = kind._from_config(config).eval()
        hf_loading.attend_as_ours(inner)
    return inner
