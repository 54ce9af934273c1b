"""Glossary: every term of the app in one sentence, with a page that shows it."""

from attnviz.web import shell
from attnviz.web.glossary import parts

shell.ensure()
parts.every_term()
