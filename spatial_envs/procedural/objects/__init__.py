"""Generated objects."""
