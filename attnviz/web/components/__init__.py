"""Streamlit components, one file each: data goes in, what the reader did comes out."""
