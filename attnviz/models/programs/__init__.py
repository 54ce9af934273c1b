"""Programs as transformers: weights that are written, not learned, so that what every head does is known.

`language` is what a program is made of, `source` reads one that is written as text, `compiler` turns it into weights,
`models` gives it a tokenizer, and `library` holds those that come with the app.
"""
