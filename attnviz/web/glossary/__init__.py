"""The words of the field: one file, from which pages explain what stands on them, and the page "Glossary"."""

from attnviz.web.glossary.state import Entry, entries

__all__ = ["Entry", "entries"]
