"""The page on the variants of attention and their cost."""
