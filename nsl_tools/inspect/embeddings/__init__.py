"""What a graph of embeddings would be like."""
