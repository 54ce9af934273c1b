"""The page "Attention and cause"."""
