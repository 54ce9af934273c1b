"""What people give: texts as tokens (`tokenizers`), tokens as words to read (`words`), pictures as pixels (`images`).

`assets` says where the files lie that come with the package.
"""
