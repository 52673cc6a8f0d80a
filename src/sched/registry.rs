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

/// Whether there is no other runtime than this one.
pub(crate) fn is_last_runtime(shared: &Arc<Shared>) -> bool {
    crate::own_tls::on_machine(|| {
        let runtimes = RUNTIMES.lock();
        let mut others = runtimes.iter().filter(|other| other.as_ptr() != Arc::as_ptr(shared));
        others.all(|other| other.strong_count() == 0)
    })
}

/// The runtimes there are.
pub(crate) fn runtimes() -> Vec<Arc<Shared>> {
    crate::own_tls::on_machine(|| RUNTIMES.lock().iter().filter_map(Weak::upgrade).collect())
}
