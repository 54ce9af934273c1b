"""What the browser gets: traces as binary messages, the state of the view, files that open offline, and the JavaScript.

`attention_message` and `provenance_message` pack numbers, `view_state` is what a reader chose and its link, `report`
and `training_report` write HTML files, `bundle` puts the modules of `frontend/` into one script. Nothing here imports
Streamlit.
"""
