"""Sets of shards: what one consists of, how it is written, and how a run goes on from one."""
