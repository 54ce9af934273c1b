"""Watch attention form: a training on the reader's screen."""
