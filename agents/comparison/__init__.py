"""What ``evaluate_agent.py`` does."""
