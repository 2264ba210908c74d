"""Class labels spread along a graph: few labels in, probabilities for all nodes out."""
