"""Agents of video fitting, and what they are compared with."""
