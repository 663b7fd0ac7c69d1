"""What ``scenes=`` opens: sets of objects, buildings and depth frames, and their files."""
