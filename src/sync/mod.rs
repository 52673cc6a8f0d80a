//! Locks and rendezvous that block the green thread: names and semantics of parking_lot and `std::sync`.
