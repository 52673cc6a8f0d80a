//! Messages between threads, green or not: names and semantics of crossbeam-channel.
