"""What ``train_agent.py`` does."""
