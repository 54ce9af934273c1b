"""Vision: what a vision transformer looks at."""
