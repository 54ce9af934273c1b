"""What people give: begin with `tokenizers`, texts as tokens; `words` are tokens to read, `images` pictures as pixels.

`sounds` become a speech model's features; `illustrated` puts an image into a text.
`assets` says where the files lie that come with the package.
"""

from attnviz import on_demand

__getattr__, __dir__ = on_demand(__name__, __path__)
