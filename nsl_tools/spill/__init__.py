"""What may not fit the memory: matrices, partitions and ids in scratch files."""
