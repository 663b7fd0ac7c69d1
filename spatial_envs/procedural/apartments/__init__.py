"""Generated apartments."""
