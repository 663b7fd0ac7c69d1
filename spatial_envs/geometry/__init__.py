"""Cameras, meshes, trees and grids: geometry that knows nothing of tasks."""
