"""The page on the encoder block."""
