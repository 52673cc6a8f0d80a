//! What `sync` and `channel` wait by under loom: the real wait word, and loom's threads.
//!
//! Each wait has a wait word of its own, kept until the model's next iteration, so that a late
//! waker finds one. Deadlines pass when a model says so ([`expire`]): a model that is about them
//! has a thread that does.

use crate::green::Reason;
use crate::green::wait::{Claim, Outcome, Sequence, WaitWord};
use crate::primitive::atomic::{AtomicUsize, Ordering};
use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::Arc;

/// The wait word of one wait, and who waits.
struct Baton {
    word: WaitWord,
    thread: loom::thread::Thread,
}

/// As `green::Token`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    baton: NonNull<Baton>,
    sequence: Sequence,
}

// SAFETY: a token only claims the wait word, an atomic that lives until the next iteration.
unsafe impl Send for Token {}
// SAFETY: as above; a shared token can be copied and no more.
unsafe impl Sync for Token {}

impl Token {
    /// As the real one.
    pub(crate) fn is_same_wait(self, other: Self) -> bool {
        (self.baton, self.sequence) == (other.baton, other.sequence)
    }

    fn baton(&self) -> &Baton {
        // SAFETY: boxed in `WAITS` until the model's next iteration begins.
        unsafe { self.baton.as_ref() }
    }
}

/// What this iteration of the model has waited for.
#[derive(Default)]
struct Waits {
    // The tokens point into the boxes.
    #[allow(clippy::vec_box, reason = "the addresses must not change")]
    batons: Vec<Box<Baton>>,
    alarms: Vec<(u64, Token)>,
    /// The latest time a model has let come.
    now_ns: u64,
    /// What orders the making of an alarm before the passing of its deadline, for loom to see.
    order: Option<Arc<AtomicUsize>>,
}

/// Orders the caller behind whoever called this before, in the order of the calls.
fn order() {
    let order = WAITS.with_borrow(|waits| waits.order.clone());
    if let Some(order) = order {
        // ORDERING: AcqRel, on both sides; the alarm lock of the real scheduler.
        order.fetch_add(1, Ordering::AcqRel);
    }
}

std::thread_local! {
    // loom runs all threads of a model on one OS thread; it sees no order in what happens here.
    static WAITS: RefCell<Waits> = RefCell::default();
}

/// Forgets the waits of the last iteration: the first step of every model.
pub(crate) fn forget_model() {
    WAITS.set(Waits { order: Some(Arc::new(AtomicUsize::new(0))), ..Waits::default() });
}

/// As the real one; see the module for deadlines.
pub(crate) fn wait(
    _reason: Reason,
    deadline_ns: Option<u64>,
    announce: impl FnOnce(Token) -> bool,
) -> Outcome {
    let boxed = Box::new(Baton { word: WaitWord::new(), thread: loom::thread::current() });
    let baton = NonNull::from(&*boxed);
    WAITS.with_borrow_mut(|waits| waits.batons.push(boxed));
    // SAFETY: boxed in `WAITS` until the model's next iteration begins.
    let word = &unsafe { baton.as_ref() }.word;
    let token = Token { baton, sequence: word.begin() };
    if !announce(token) {
        word.abandon();
        return Outcome::Woken;
    }
    if let Some(deadline_ns) = deadline_ns {
        order();
        let now_ns = WAITS.with_borrow_mut(|waits| {
            waits.alarms.push((deadline_ns, token));
            waits.now_ns
        });
        if deadline_ns <= now_ns {
            let _late = wake(token, Outcome::Deadline);
        }
    }
    let _committed = word.commit_asleep();
    loop {
        if let Some(outcome) = word.finish() {
            return outcome;
        }
        loom::thread::park();
    }
}

/// As the real one.
pub(crate) fn wake(token: Token, outcome: Outcome) -> bool {
    claim(token, outcome).map(Claimed::resume).is_some()
}

/// As the real one.
pub(crate) fn claim(token: Token, outcome: Outcome) -> Option<Claimed> {
    match token.baton().word.claim(token.sequence, outcome) {
        Claim::Lost => None,
        claim => Some(Claimed { token, claim }),
    }
}

/// As the real one.
#[derive(Debug)]
#[must_use = "the thread waits until it is resumed"]
pub(crate) struct Claimed {
    token: Token,
    claim: Claim,
}

impl Claimed {
    /// As the real one.
    pub(crate) fn resume(self) {
        match self.claim {
            Claim::Lost | Claim::Early => {}
            Claim::Wake | Claim::Resume => self.token.baton().thread.unpark(),
        }
    }
}

/// Lets the deadlines up to `now_ns` pass: those of waits that go on, and of waits to come.
pub(crate) fn expire(now_ns: u64) {
    order();
    let alarms = WAITS.with_borrow_mut(|waits| {
        waits.now_ns = waits.now_ns.max(now_ns);
        waits.alarms.clone()
    });
    for (deadline_ns, token) in alarms {
        if deadline_ns <= now_ns {
            let _late = wake(token, Outcome::Deadline);
        }
    }
}

/// As the real one.
pub(crate) fn yield_now() {
    loom::thread::yield_now();
}
