"""Kernels on arrays: bytes, ids, sorting, checksums. No input or output, no options."""
