"""Examples from one format to another."""
