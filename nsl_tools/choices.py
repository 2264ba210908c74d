"""What options may be, and what they are if they are not given: all that `--help` needs of them."""

from typing import Literal

DEFAULT_ID_FEATURE = "id"
DEFAULT_EMBEDDING_FEATURE = "embedding"
DEFAULT_MAX_RECORD_BYTES = 1 << 31
"""About what protobuf parses at most."""
OnDuplicate = Literal["error", "first", "last"]
WeightKind = Literal["similarity", "distance"]
EdgeIds = Literal["ids", "rows"]
SpreadMethod = Literal["consistency", "harmonic"]
EngineName = Literal["local", "spark"]
