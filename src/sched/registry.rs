//! All runtimes of the process, for the dump and the metrics.

use super::shared::Shared;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

static RUNTIMES: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// Notes a runtime.
pub(crate) fn register(shared: &Arc<Shared>) {
    // parking_lot keeps a record per thread that waits: on the machine's thread pointer.
    crate::own_tls::on_machine(|| {
        let mut runtimes = RUNTIMES.lock();
        runtimes.retain(|runtime| runtime.strong_count() != 0);
        runtimes.push(Arc::downgrade(shared));
    });
}

/// The runtimes there are.
pub(crate) fn runtimes() -> Vec<Arc<Shared>> {
    crate::own_tls::on_machine(|| RUNTIMES.lock().iter().filter_map(Weak::upgrade).collect())
}
