"""Policies, baselines, training and evaluation; runs from the checkout."""
