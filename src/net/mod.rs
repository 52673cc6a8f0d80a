//! Sockets that block the green thread: names and types of `std::net`.
