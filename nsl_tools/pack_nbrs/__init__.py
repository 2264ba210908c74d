"""The second wing: examples and a graph in, training examples out."""
