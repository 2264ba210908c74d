"""What packing would take, by a sample of the examples and of the edges, packed nowhere."""
