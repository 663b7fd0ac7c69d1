"""What Stable-Baselines3 needs to play these environments."""
