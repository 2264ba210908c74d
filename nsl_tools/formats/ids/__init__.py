"""Ids from a file of their own."""
