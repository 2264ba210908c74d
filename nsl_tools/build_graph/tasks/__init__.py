"""The search as tasks, for engines of many machines."""
