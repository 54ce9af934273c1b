"""Models by name: begin with `catalogue`, which lists them and loads any of them; `model` is what one gets.

`families` reads the architectures that are ours (BERT, GPT-2, ViT …) by `tensor_names`; `hf_loading`, `hf_model` and
`hf_attention` run the others inside transformers with our attention; `marian` and `marian_file` read the small
translators. `folders` is our own form on disk, `zip_upload` and `hf_download` bring one here, `safetensors_io` reads
its weights, `anatomy` takes a model apart, `export` writes it in other forms.
"""

from typing import TYPE_CHECKING

from attnviz import on_demand

if TYPE_CHECKING:
    from attnviz.models.catalogue import load, load_archive
    from attnviz.models.model import Model, ModelInfo
else:
    _HOMES = {
        "Model": "model",
        "ModelInfo": "model",
        "load": "catalogue",
        "load_archive": "catalogue",
    }
    __getattr__, __dir__ = on_demand(__name__, __path__, _HOMES)

__all__ = ["Model", "ModelInfo", "load", "load_archive"]
