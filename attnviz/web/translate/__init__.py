"""The page "Translate"."""
