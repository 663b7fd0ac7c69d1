"""Training and judging backbones."""
