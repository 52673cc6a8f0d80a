//! The child of a fork: only the thread that forked goes on, and no machine.
//!
//! A green thread that forks is an OS thread in the child: it waits in the kernel, and spawns
//! nothing. Runtimes of the parent are dead there; nothing of theirs is touched.

use crate::green::Kind;
use crate::own_tls;

/// Whether this process is the child of a fork of a process with runtimes.
pub(crate) fn in_child() -> bool {
    own_tls::in_forked_child()
}

/// Registers what is done in a child.
pub(crate) fn prepare() {
    own_tls::on_forked_child(|| {
        if let Some(green) = crate::green::current() {
            green.kind.set(Kind::Thread);
            green.runtime.set(std::ptr::null());
        }
    });
}
