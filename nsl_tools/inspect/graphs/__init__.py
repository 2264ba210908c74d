"""What a graph is like."""
