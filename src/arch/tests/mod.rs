//! What the contract of `arch` promises, on either backend.
//!
//! The contexts here run on the thread-locals of the thread that resumes them.

cfg_if::cfg_if! {
    if #[cfg(target_arch = "x86_64")] {
        mod x86_64;
        use self::x86_64 as registers;
    } else if #[cfg(target_arch = "aarch64")] {
        mod aarch64;
        use self::aarch64 as registers;
    }
}

use super::cpu::FloatControl;
use super::*;
use registers::survive;
use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::rc::Rc;

type Body = Box<dyn FnOnce(&Pair)>;

/// A root and one context beside it, on a stack of its own.
struct Pair {
    root: Context,
    side: Context,
    stack: Vec<u128>,
    body: Cell<Option<Body>>,
    done: Cell<bool>,
    /// What the body ended with, when it did not return.
    panic: Cell<Option<Box<dyn Any + Send>>>,
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
            panic: Cell::new(None),
        });
        let argument = ptr::from_ref(&*pair).cast_mut().cast();
        let stack = pair.stack.as_mut_ptr_range();
        // SAFETY: the stack is ours until the pair is dropped; `entry` takes a pair.
        pair.side = unsafe { prepare(stack.start.cast(), stack.end.cast(), entry, argument) };
        pair
    }

    /// Runs the side until it yields or ends; `true` while it can be resumed. A panic of the
    /// body goes on here.
    #[inline(never)]
    fn resume(&self) -> bool {
        assert!(!self.done.get());
        // SAFETY: `choose` went well; the side is suspended, and runs on our own thread-locals.
        unsafe { switch(&self.root, &self.side, thread_pointer()) };
        if let Some(panic) = self.panic.take() {
            resume_unwind(panic);
        }
        !self.done.get()
    }

    /// Suspends the side.
    #[inline(never)]
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
    pair.panic.set(catch_unwind(AssertUnwindSafe(|| body(pair))).err());
    pair.done.set(true);
    pair.yield_now();
    unreachable!("a context that is done is not resumed")
}

const STACK_BYTES: usize = 128 << 10;

#[test]
fn switches_alternate() {
    let pair = Pair::new(STACK_BYTES, |pair| {
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

#[test]
fn callee_saved_registers_belong_to_the_context() {
    unsafe extern "C" fn yield_now(pair: *mut ()) {
        // SAFETY: `survive` passes the pair on.
        unsafe { &*pair.cast::<Pair>() }.yield_now();
    }
    unsafe extern "C" fn resume(pair: *mut ()) {
        // SAFETY: `survive` passes the pair on.
        unsafe { &*pair.cast::<Pair>() }.resume();
    }
    let pair = Pair::new(STACK_BYTES, |pair| {
        for seed in 0..100 {
            let argument = ptr::from_ref(pair).cast_mut().cast();
            // SAFETY: `yield_now` takes a pair, on whose side we are.
            let lost = unsafe { survive(seed << 32, yield_now, argument) };
            assert_eq!(lost, 0);
        }
    });
    for seed in 0..100 {
        let argument = ptr::from_ref(&*pair).cast_mut().cast();
        // SAFETY: `resume` takes a pair, whose side is suspended.
        let lost = unsafe { survive(!(seed << 32), resume, argument) };
        assert_eq!(lost, 0);
    }
    assert!(!pair.resume());
}

#[test]
fn floating_point_control_belongs_to_the_context() {
    let pair = Pair::new(STACK_BYTES, |pair| {
        assert_eq!(FloatControl::read(), FloatControl::INITIAL);
        let own = registers::altered(0);
        // SAFETY: nothing here computes with floating-point numbers until the words are restored.
        unsafe { own.load() };
        for _ in 0..3 {
            pair.yield_now();
            assert_eq!(FloatControl::read(), own);
        }
        // SAFETY: what Rust code expects.
        unsafe { FloatControl::INITIAL.load() };
    });
    let before = FloatControl::read();
    for words in [before, registers::altered(1), before] {
        // SAFETY: as on the side.
        unsafe { words.load() };
        assert!(pair.resume());
        assert_eq!(FloatControl::read(), words);
    }
    assert!(!pair.resume());
    assert_eq!(FloatControl::read(), before);
}

#[test]
fn backtrace_ends_at_the_entry() {
    let text = Rc::new(Cell::new(String::new()));
    let pair = Pair::new(1 << 20, {
        let text = text.clone();
        move |_| text.set(Backtrace::force_capture().to_string())
    });
    assert!(!pair.resume());
    let text = text.take();
    // Optimised, with line tables only, frames are known by file and by the last part of a name.
    assert!(text.contains("backtrace_ends_at_the_entry"), "{text}");
    let last = text.lines().rfind(|line| !line.trim_start().starts_with("at "));
    assert!(last.is_some_and(|frame| frame.contains("start")) || !DIRECT, "{text}");
    assert!(text.contains("entry"), "{text}");
    // corosensei links the stack of the resumer to that of the coroutine, for unwinders too.
    assert_eq!(text.contains("Pair::resume"), !DIRECT, "{text}");
}

#[test]
fn panic_is_caught_on_its_own_stack() {
    let pair = Pair::new(1 << 20, |pair| {
        for number in 0..10_u32 {
            let panic = catch_unwind(AssertUnwindSafe(|| {
                pair.yield_now();
                resume_unwind(Box::new(number))
            }));
            let payload = panic.err().and_then(|payload| payload.downcast::<u32>().ok());
            assert_eq!(payload.as_deref(), Some(&number));
            pair.yield_now();
        }
    });
    while pair.resume() {}
}

#[test]
fn deep_call_chains_are_kept() {
    #[inline(never)]
    fn dive(pair: &Pair, depth: u64) -> u64 {
        if depth == 0 {
            pair.yield_now();
            return 1;
        }
        dive(pair, depth - 1) + depth
    }
    let sum = Rc::new(Cell::new(0));
    let pair = Pair::new(1 << 20, {
        let sum = sum.clone();
        move |pair| sum.set(dive(pair, 1000))
    });
    assert!(pair.resume());
    assert!(!pair.resume());
    assert_eq!(sum.get(), 500_501);
}

#[test]
fn suspended_context_resumes_on_another_thread() {
    struct Carried(Box<Pair>);
    // SAFETY: one thread at a time uses the pair, and its side touches no thread-locals.
    unsafe impl Send for Carried {}
    impl Carried {
        fn turn(self) -> (Self, bool) {
            let more = self.0.resume();
            (self, more)
        }
    }
    let mut carried =
        Carried(Pair::new(STACK_BYTES, |pair| (0..10).for_each(|_| pair.yield_now())));
    for turn in 0.. {
        let more;
        (carried, more) = std::thread::spawn(move || carried.turn()).join().expect("no panic");
        assert_eq!(more, turn < 10);
        if !more {
            break;
        }
    }
}

#[test]
fn hundred_thousand_contexts_take_turns() {
    struct Member {
        root: *const Context,
        own: Context,
        turns: Cell<usize>,
    }
    unsafe extern "C" fn count(member: *mut ()) -> ! {
        // SAFETY: the argument is the member.
        let member = unsafe { &*member.cast::<Member>() };
        loop {
            member.turns.set(member.turns.get() + 1);
            // SAFETY: the root waits for us, on the same thread.
            unsafe { switch(&member.own, member.root, thread_pointer()) };
        }
    }
    choose().expect("contexts can be switched here");
    // corosensei asks for a page; the others need no more than `count` takes.
    let (members, words) = if DIRECT { (100_000, 1024 / 16) } else { (10_000, 4096 / 16) };
    let mut stacks = vec![0_u128; members * words];
    let root = Context::EMPTY;
    let mut ring: Vec<Member> = (0..members)
        .map(|_| Member { root: &root, own: Context::EMPTY, turns: Cell::new(0) })
        .collect();
    for (member, stack) in ring.iter_mut().zip(stacks.chunks_exact_mut(words)) {
        let argument = ptr::from_mut(member).cast();
        let stack = stack.as_mut_ptr_range();
        // SAFETY: the stack is the member's until the end of the test; `count` takes a member.
        member.own = unsafe { prepare(stack.start.cast(), stack.end.cast(), count, argument) };
    }
    for _ in 0..3 {
        for member in &ring {
            // SAFETY: the member is suspended, and runs on our own thread-locals.
            unsafe { switch(&root, &member.own, thread_pointer()) };
        }
    }
    assert!(ring.iter().all(|member| member.turns.get() == 3));
}

/// A block of thread-locals of which only the thread pointer can be read.
#[repr(C, align(64))]
struct Scratch {
    below: [u64; 512],
    pointer: usize,
    above: [u64; 512],
}

/// Asserts that `call_on` calls on the thread pointer it is told, and goes back.
fn assert_call_on_changes_the_thread_pointer(mode: ThreadPointerMode) {
    unsafe extern "C" fn record(seen: *mut ()) {
        // SAFETY: `call_on` passes the place on. Nothing here touches a thread-local.
        unsafe { seen.cast::<usize>().write(thread_pointer()) };
    }
    let mut scratch = Box::new(Scratch { below: [0; 512], pointer: 0, above: [0; 512] });
    scratch.pointer = &raw const scratch.pointer as usize;
    let own = thread_pointer();
    let other = scratch.pointer;
    let mut seen = 0_usize;
    // SAFETY: the first word of the scratch block is its address, and `record` uses no other.
    unsafe { call_on(other, record, (&raw mut seen).cast()) };
    let expected = if mode == ThreadPointerMode::Lodger { own } else { other };
    assert_eq!(seen, expected);
    assert_eq!(thread_pointer(), own);
}

#[test]
fn call_on_changes_the_thread_pointer_and_puts_it_back() {
    let mode = choose().expect("contexts can be switched here");
    assert_call_on_changes_the_thread_pointer(mode);
}
