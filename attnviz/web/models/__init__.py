"""All models: which transformers there are, taken apart and compared."""
