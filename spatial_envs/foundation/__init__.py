"""What every file may stand on: checked arguments, errors, files, caches, compilation, threads, YAML."""
