//! What there is to compare.

/// The allocators, each a program `benches/alloc_<name>.rs`; the last one is no allocator but the
/// sum of what is live.
pub const ALLOCATORS: &[&str] =
    &["gthread", "mimalloc", "rpmalloc", "snmalloc", "jemalloc", "system", "live"];

/// The workloads of `cells.rs`.
pub const CELLS: &[&str] = &[
    "pair",
    "batch",
    "random",
    "larson",
    "xmalloc",
    "mstress",
    "scratch",
    "sh8",
    "rptest",
    "pareto",
    "vec-growth",
    "hashmap",
    "btreemap",
    "boxes",
    "arc",
    "parked",
    "migrate",
    "freed",
];
