"""models: being built."""

from attnviz.web import shell

shell.ensure()
