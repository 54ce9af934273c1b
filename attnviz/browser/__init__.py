"""What the browser gets: traces as binary messages, the state of the view, files that open offline, and the JavaScript.

Begin with `attention_message`, which packs a run for the view (its tokens in `token_columns`, its change in words in
`intervention_text`); `provenance_message` packs Step by step. `view_state` is what a reader chose and its link, of
the values in `view_values`, a painted mask in `painted_cells`, a digit drawn by hand in `drawings`. `report` and
`training_report` write HTML files, `live` a page that runs models by itself; `bundle` puts the modules of `frontend/`
into one script. `framing` is the one binary form of all messages, `contract` writes the files that the JavaScript takes
from Python. Nothing here imports Streamlit.
"""

from attnviz import on_demand

__getattr__, __dir__ = on_demand(__name__, __path__)
