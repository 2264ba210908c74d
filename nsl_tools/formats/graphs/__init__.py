"""Graphs in and out."""
