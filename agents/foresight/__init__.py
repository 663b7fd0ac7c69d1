"""Policies, baselines and evaluation of foresight."""
