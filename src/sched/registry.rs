//! All runtimes of the process, for the dump and the metrics.

use super::shared::{Carriage, Shared};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

static RUNTIMES: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// A runtime that has been started and not ended; without a strong count, it ended with the last
/// of its survivors.
struct Entry {
    shared: Weak<Shared>,
    carriage: Carriage,
}

/// Works on the list, on the machine's thread pointer: parking_lot keeps a record per thread that
/// waits.
fn with<R>(f: impl FnOnce(&mut Vec<Entry>) -> R) -> R {
    crate::own_tls::on_machine(|| f(&mut RUNTIMES.lock()))
}

/// Notes a runtime.
pub(crate) fn register(shared: &Arc<Shared>) {
    let entry = Entry { shared: Arc::downgrade(shared), carriage: shared.carriage };
    with(|runtimes| {
        runtimes.retain(|runtime| runtime.shared.strong_count() != 0);
        runtimes.push(entry);
    });
}

/// Forgets a runtime that has come to its end; whether it was the last one with machines, which
/// are what uses stacks. Of two that end at a time one is the last.
pub(crate) fn deregister(shared: &Arc<Shared>) -> bool {
    with(|runtimes| {
        runtimes.retain(|runtime| {
            runtime.shared.strong_count() != 0 && runtime.shared.as_ptr() != Arc::as_ptr(shared)
        });
        shared.carriage == Carriage::Machines
            && runtimes.iter().all(|runtime| runtime.carriage != Carriage::Machines)
    })
}

/// The runtimes there are.
pub(crate) fn runtimes() -> Vec<Arc<Shared>> {
    with(|runtimes| runtimes.iter().filter_map(|runtime| runtime.shared.upgrade()).collect())
}
