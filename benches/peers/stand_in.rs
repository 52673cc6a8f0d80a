//! STAND-IN until the scheduler lands: `std::thread` under this crate's names.
#![allow(dead_code)]
pub(crate) use std::thread::{Builder, JoinHandle, Thread, current, park, sleep, spawn, yield_now};
pub(crate) mod inspect {
    pub(crate) fn dump() -> String {
        String::new()
    }
}
pub(crate) fn blocking<T>(f: impl FnOnce() -> T) -> T {
    f()
}
pub(crate) fn run<T>(f: impl FnOnce() -> T) -> T {
    f()
}
pub(crate) struct Runtime;
impl Runtime {
    pub(crate) fn builder() -> Self {
        Self
    }
    pub(crate) fn processors(self, _: usize) -> Self {
        self
    }
    pub(crate) fn build(self) -> Result<Self, String> {
        Ok(self)
    }
    pub(crate) fn run<T>(&self, f: impl FnOnce() -> T) -> T {
        f()
    }
    pub(crate) fn shutdown(self) {}
}
