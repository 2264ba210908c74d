"""How much is done at once.

These sizes decide how fast a run is and how much memory it takes, never what it writes: tests
run everything with blocks of one row. Each was measured; a few times more or less costs little.
"""

from __future__ import annotations


class Tuning:
    """Sizes of blocks, batches and pieces."""

    # Reading and writing.
    batch_bytes: int = 2 << 20
    """Bytes of records that are read, checked and parsed together."""
    graph_bytes: int = 2 << 20
    """Bytes of a graph that are read and parsed together."""
    lines_bytes: int = 8 << 20
    """Bytes of lines of a graph that are made together; at least one line is."""
    packed_bytes: int = 2 << 20
    """Bytes of packed records that are made together; at least one record is."""
    alike_records: int = 16
    """Batches of more records than this are checked for records that differ in values only."""
    steps: int = 64
    """Records of more entries than this are parsed one by one once few such are left in a batch."""

    table_bytes: int = 1 << 21
    """Bytes of rows of a matrix or table that are read together."""
    cached_bytes: int = 1 << 26
    """First bytes of an output that go through the page cache; a multiple of `direct_bytes`."""
    direct_bytes: int = 1 << 22
    """Bytes that are written past the page cache together: whole pages."""
    synced_bytes: int = 1 << 25
    """Bytes between two syncs: enough to keep a disk busy, few enough for a short last one."""

    # Scratch files.
    memory_share: float = 1.0
    """Share of its memory budget that each part of a run holds before it spills."""
    gap_bytes: int = 8 << 10
    """Rows with fewer bytes between them are read by one call."""
    task_bytes: int = 1 << 26
    """Bytes of records of a task of packing, and of the blocks of a range: it takes seconds."""
    merged_rows: int = 128
    """Rows whose edges, which several tasks found, are merged together; at least those of one."""
    gather_bytes: int = 4 << 20
    """Bytes of rows that are read together."""
    copied_bytes: int = 4 << 20
    """Bytes of neighbours' blocks that are copied to a scratch file together."""
    spilled_rows: int = 16
    """Rows whose waiting candidates are read back together."""
    tile_parts: int = 64
    """Lists of waiting candidates of a tile, before they become one."""

    # Ids. From so many on, loading pyarrow.compute costs less time than it saves.
    few_to_sort: int = 50_000
    """Fewer ids than this are sorted without it."""
    few_to_seek: int = 10_000
    """Not more ids than this are sought among others without it."""
    few_to_join: int = 1 << 16
    """Lines of fewer edges than this are joined without it."""
    hashed_ids: int = 1 << 13
    """Ids that are hashed together: what that takes stays in the processor's cache."""
    hashed_bytes: int = 1 << 20
    """Bytes of these ids, if there is more than one."""
    joined_edges: int = 1 << 15
    """Edges whose lines are joined together, which stay in the processor's cache."""

    # Search.
    tile_rows: int = 1008
    """Rows of a tile of products; those a power of two apart would share places in the cache."""
    strip_rows: int = 128
    """Rows of a tile that are looked at together where candidates are many."""
    top_rows: int = 256
    """Rows of which the largest numbers are picked together."""
    least_candidates: int = 1 << 14
    """Candidates that are weighed together, if the memory allows no more."""
    weighed_floats: int = 1 << 18
    """Numbers of vectors that are weighed together: more would leave the cache."""
    crowd: int = 4
    """More than so many times the candidates wanted are too many: the threshold rises first."""
    small_bucket: int = 128
    """Rows of a bucket of LSH: weighing all its pairs takes no longer than a search in it."""
    bucket_pairs: int = 1 << 18
    """Pairs of small buckets of LSH that are weighed together."""
    tied_rows: int = 1024
    """Rows of the largest ids that the nearly parallel rows of all tiles are compared with."""

    # Inverted lists.
    listed_floats: int = 1 << 20
    """Similarities of rows and centroids that are computed together."""
    counted_rows: int = 1 << 14
    """Rows whose listed cells are counted together."""
    probed_lists: int = 64
    """Lists that are searched before what they found is kept."""
    probing_rows: int = 1024
    """Rows that are multiplied with the members of a list together."""
    kept_rows: int = 1 << 14
    """Rows whose best candidates are brought up to date together."""
    weighed_rows: int = 1024
    """Rows whose candidates are weighed, or chosen from, together."""

    # The join.
    index_run: int = 1 << 16
    """Ids of one sorted run of the index."""
    index_piece: int = 1 << 20
    """Ids that enter the index, or are renumbered, together."""
    least_edges: int = 1 << 16
    """Edges that wait to be cut to the best, if the memory allows no more."""
    most_edges: int = 1 << 22
    """Edges that wait at most, whatever the memory."""
    open_edges: int = 1 << 16
    """Edges of a source that is not complete yet, to be cut to the best as sources come."""


TUNING = Tuning()
"""The sizes of this process."""
