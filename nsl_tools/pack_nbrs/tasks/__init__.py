"""Packing as tasks, for engines of many machines."""
