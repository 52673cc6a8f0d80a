//! Readiness of descriptors: who waits for which, and whom an event makes ready.
