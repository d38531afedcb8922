//! Encodings: up to which size a collection is kept as one compact block.

use crate::config::codec::{INT, LONG, MEM_LONG, int};
use crate::config::row::{Standing, topic};

topic! {
    /// Up to which size a collection is kept as one compact block.
    Encoding in encoding, "Encodings";

    /// Fields up to which a hash is a listpack.
    "hash-max-listpack-entries" | "hash-max-ziplist-entries" => hash_max_listpack_entries: u64 = 512, LONG, Runtime, Open, Standing::Works;
    /// Bytes of a field or value up to which a hash is a listpack.
    "hash-max-listpack-value" | "hash-max-ziplist-value" => hash_max_listpack_value: u64 = 64, MEM_LONG, Runtime, Open, Standing::Works;
    /// Size of a list's nodes: above 0 elements; -1 to -5 are 4, 8, 16, 32, 64 KiB.
    "list-max-listpack-size" | "list-max-ziplist-size" => list_max_listpack_size: i32 = -2, int(i32::MIN as i128, i32::MAX as i128), Runtime, Open, Standing::Works;
    /// Nodes at each end of a list that are never compressed; 0 compresses none.
    "list-compress-depth" => list_compress_depth: u32 = 0, INT, Runtime, Open, Standing::Works;
    /// Members up to which a set of integers is an intset.
    "set-max-intset-entries" => set_max_intset_entries: u64 = 512, LONG, Runtime, Open, Standing::Works;
    /// Members up to which a set is a listpack.
    "set-max-listpack-entries" => set_max_listpack_entries: u64 = 128, LONG, Runtime, Open, Standing::Works;
    /// Bytes of a member up to which a set is a listpack.
    "set-max-listpack-value" => set_max_listpack_value: u64 = 64, LONG, Runtime, Open, Standing::Works;
    /// Members up to which a sorted set is a listpack.
    "zset-max-listpack-entries" | "zset-max-ziplist-entries" => zset_max_listpack_entries: u64 = 128, LONG, Runtime, Open, Standing::Works;
    /// Bytes of a member up to which a sorted set is a listpack.
    "zset-max-listpack-value" | "zset-max-ziplist-value" => zset_max_listpack_value: u64 = 64, MEM_LONG, Runtime, Open, Standing::Works;
    /// Bytes up to which a HyperLogLog is sparse.
    "hll-sparse-max-bytes" => hll_sparse_max_bytes: u64 = 3000, MEM_LONG, Runtime, Open, Standing::Works;
    /// Bytes of a stream's node; 0 is no limit.
    "stream-node-max-bytes" => stream_node_max_bytes: u64 = 4096, MEM_LONG, Runtime, Open, Standing::Works;
    /// Entries of a stream's node; 0 is no limit.
    "stream-node-max-entries" => stream_node_max_entries: u64 = 100, LONG, Runtime, Open, Standing::Works;
}
