"""The first wing: embeddings in, a nearest-neighbour graph out."""
