"""Policies, baselines and evaluation of next-best-view."""
