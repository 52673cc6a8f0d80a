//! What the contract of `arch` promises, on either backend.

use super::*;
use std::cell::Cell;
use std::ptr;

/// A root and one context beside it, on a stack of its own.
struct Pair {
    root: Context,
    side: Context,
    stack: Vec<u128>,
    body: Cell<Option<Box<dyn FnOnce(&Pair)>>>,
    done: Cell<bool>,
}

impl Pair {
    /// Makes the context; `body` runs at the first [`Pair::resume`].
    fn new(stack_bytes: usize, body: impl FnOnce(&Pair) + 'static) -> Box<Self> {
        choose().expect("contexts can be switched here");
        let mut pair = Box::new(Self {
            root: Context::EMPTY,
            side: Context::EMPTY,
            stack: vec![0; stack_bytes / 16],
            body: Cell::new(Some(Box::new(body))),
            done: Cell::new(false),
        });
        let argument = ptr::from_ref(&*pair).cast_mut().cast();
        let stack = pair.stack.as_mut_ptr_range();
        // SAFETY: the stack is ours until the pair is dropped; `entry` takes a pair.
        pair.side = unsafe { prepare(stack.start.cast(), stack.end.cast(), entry, argument) };
        pair
    }

    /// Runs the side until it yields or ends; `true` while it can be resumed.
    fn resume(&self) -> bool {
        assert!(!self.done.get());
        // SAFETY: `choose` went well; the side is suspended, and runs on our own thread-locals.
        unsafe { switch(&self.root, &self.side, thread_pointer()) };
        !self.done.get()
    }

    /// Suspends the side.
    fn yield_now(&self) {
        // SAFETY: the root is suspended in `resume`, with the same thread pointer.
        unsafe { switch(&self.side, &self.root, thread_pointer()) };
    }
}

/// The first function on the side.
unsafe extern "C" fn entry(argument: *mut ()) -> ! {
    // SAFETY: the argument is the pair, which outlives its side.
    let pair = unsafe { &*argument.cast::<Pair>() };
    let body = pair.body.take().expect("a body runs once");
    body(pair);
    pair.done.set(true);
    pair.yield_now();
    unreachable!("a context that is done is not resumed")
}

#[test]
fn switches_alternate() {
    let pair = Pair::new(64 << 10, |pair| {
        for _ in 0..1000 {
            pair.yield_now();
        }
    });
    let mut turns = 0;
    while pair.resume() {
        turns += 1;
    }
    assert_eq!(turns, 1000);
}
