//! Models of the counts of handles, by loom.
//!
// MUTANT: counter.release KILLED-BY channel::counter_model::the_last_handle_disconnects
// MUTANT: counter.half_gone KILLED-BY channel::counter_model::the_last_handle_frees
// MUTANT: counter.free KILLED-BY channel::counter_model::the_last_handle_frees

use super::counter::{Count, Counted, counted};
use crate::primitive::model::{Shared, check};
use loom::sync::Arc;
use loom::thread;

/// A channel that notes its end, having looked at what its handles did.
struct Channel {
    used: Shared<u32>,
    /// What the second sender has done.
    by_other: Shared<u32>,
    freed: Arc<Shared<u32>>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.freed.set(self.used.get() + 1);
    }
}

/// A handle that may go to another thread.
struct Handle(Counted<Channel>, Count);

// SAFETY: `Counted` is made to be shared; the channel's cells are checked by loom.
unsafe impl Send for Handle {}

impl Handle {
    fn release(self, disconnect: impl FnOnce(&Channel)) {
        // SAFETY: once, with its own count.
        unsafe { self.0.release(self.1, disconnect) };
    }
}

/// The last of two senders sees what the other one did.
#[test]
fn the_last_handle_disconnects() {
    check(|| {
        let freed = Arc::new(Shared::new(0));
        let (s, r) = counted(Channel { used: Shared::new(0), by_other: Shared::new(0), freed });
        let other = Handle(s.acquire(Count::Senders), Count::Senders);
        let mine = Handle(s, Count::Senders);
        let disconnect = |channel: &Channel| {
            assert_eq!((channel.used.get(), channel.by_other.get()), (1, 1));
            channel.used.set(2);
        };
        let thread = thread::spawn(move || {
            other.0.channel().by_other.set(1);
            other.release(disconnect);
        });
        mine.0.channel().used.set(1);
        mine.release(disconnect);
        thread.join().expect("no panic");
        assert_eq!(r.channel().used.get(), 2);
        Handle(r, Count::Receivers).release(|_| ());
    });
}

/// FreedOnce: by whichever side comes last, after both have used it.
#[test]
fn the_last_handle_frees() {
    check(|| {
        let freed = Arc::new(Shared::new(0));
        let channel =
            Channel { used: Shared::new(0), by_other: Shared::new(0), freed: freed.clone() };
        let (s, r) = counted(channel);
        let receiver = Handle(r, Count::Receivers);
        let thread = thread::spawn(move || receiver.release(|_| ()));
        Handle(s, Count::Senders).release(|channel| channel.used.set(1));
        thread.join().expect("no panic");
        assert_eq!(freed.get(), 2);
    });
}
