"""Text from a model: begin with `sampling`, token by token; `beam_search` finds the best of several answers at once."""
