"""Text from a model: token by token (`sampling`), or the best of several answers at once (`beam_search`)."""
