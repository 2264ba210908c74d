"""Everything that touches the file system: paths, streams, outputs, shard sets."""
