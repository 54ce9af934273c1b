"""The page "Masks"."""
