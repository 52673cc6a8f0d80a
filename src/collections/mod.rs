//! Data structures that know nothing of threads: plain values, owned by whoever holds the lock.

pub(crate) mod prefetch;
pub(crate) mod slab;
