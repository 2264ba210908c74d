"""Shows what files hold: embeddings before a graph is built, a graph, examples, packed examples."""
