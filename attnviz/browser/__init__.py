"""What the browser gets: traces as binary messages, the state of the view, files that open offline, and the JavaScript.

`attention_message` and `provenance_message` pack numbers, `view_state` is what a reader chose and its link, `report`
and `training_report` write HTML files, `bundle` puts the modules of `frontend/` into one script. `framing` is the one
binary form of all messages, `contract` writes the files that the JavaScript takes from Python. Nothing here imports
Streamlit.
"""
