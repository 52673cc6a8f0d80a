//! The child of a fork: only the thread that forked goes on, and no machine.
//!
//! A green thread that forks is an OS thread in the child: it waits in the kernel, and spawns
//! nothing. Runtimes of the parent are dead there; nothing of theirs is touched. It is the child's
//! only thread, so the child ends with it.

use crate::green::Kind;
use crate::own_tls;

/// Whether this process is the child of a fork of a process with runtimes.
pub(crate) fn in_child() -> bool {
    own_tls::in_forked_child()
}

/// The green thread that forked has come to its end in the child: as libc does at the end of a
/// process's last thread, ends the process, with status 0 and all that `exit` does.
#[cold]
pub(super) fn end_of_child() -> ! {
    std::process::exit(0)
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
