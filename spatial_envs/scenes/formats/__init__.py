"""Readers of mesh files, one file for each format: ``read(data, beside)`` gives a list of Parts, or a Fault.

Each reads all that its format has of triangles, colours and textures, and refuses what it cannot read right.
"""
