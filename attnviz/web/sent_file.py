"""A file that a reader sent, as long as it is there: a replica that takes over has none of those of the dead one."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

GONE = "The file is not on this server any more. Send it again."


def sent_file(field: str) -> UploadedFile | None:
    """What the field with this key holds; None if that is nothing, or not there any more."""
    file = st.session_state.get(field)
    return file if isinstance(file, UploadedFile) else None


def gone(field: str) -> bool:
    """Whether the field names a file that is not there any more."""
    return st.session_state.get(field) is not None and sent_file(field) is None
