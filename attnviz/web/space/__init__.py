"""The page "Space"."""
