"""Tables of columns: Parquet and Arrow."""
