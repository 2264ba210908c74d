"""Tells whether files are what they should be."""
