"""Matrices of numbers, a row for each node: `.npy` and its like."""
