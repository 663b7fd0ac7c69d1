"""Policies, baselines, the encoder and evaluation of scene fitting."""
