"""Policies, baselines and evaluation of navigation."""
