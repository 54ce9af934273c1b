"""The page "Softmax and temperature"."""
