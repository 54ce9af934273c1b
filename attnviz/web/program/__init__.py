"""The page "Program a transformer"."""
