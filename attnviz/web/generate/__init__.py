"""The page "Generate"."""
