"""TFRecord files: records, one behind the other, framed by lengths and checksums."""
