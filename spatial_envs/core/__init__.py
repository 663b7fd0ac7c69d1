"""What every family of tasks shares."""
