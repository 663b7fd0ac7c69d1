"""Scenes that are generated from a seed."""
