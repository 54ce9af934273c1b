"""The page "Heads"."""
