"""What pyarrow writes Parquet to."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from nsl_tools.formats.parquet_sink import Sink


def test_a_table_is_written_and_the_file_stays_open() -> None:
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    file = io.BytesIO()
    sink = Sink(file)
    with pq.ParquetWriter(sink, table.schema) as writer:
        writer.write_table(table)
    assert sink.tell() == len(file.getvalue())
    assert pq.read_table(io.BytesIO(file.getvalue())) == table
