"""The Streamlit side of the app; nothing else in the package imports Streamlit.

Begin with `shell`, then a page's `parts`. `shell`, `cache`, `lesson`, `temperatures` and `pacing` are what the pages
share, `components` what they draw with, `jobs` the work that outlasts one run of a page. Each page has a folder:
`parts` is what is drawn, in the order of the page, `state` what a reader can set and what is run, `text` the
sentences.
"""
