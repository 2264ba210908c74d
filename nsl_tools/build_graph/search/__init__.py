"""Nearest neighbours by cosine: exact, by LSH, or by lists with a measured recall."""
