"""The Streamlit side of the app; nothing else in the package imports Streamlit."""
