"""How fast is it here: a file for each table that ``python -m spatial_envs.benchmark`` prints."""
