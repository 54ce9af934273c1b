"""What people give: begin with `tokenizers`, texts as tokens; `words` are tokens to read, `images` pictures as pixels.

`assets` says where the files lie that come with the package.
"""
