"""Commands that check and compare what is installed."""
