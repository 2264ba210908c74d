"""What building a graph would take, by a sample of the embeddings and short timings."""
