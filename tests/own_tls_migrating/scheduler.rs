//! A scheduler that never runs a green thread twice in a row on the same machine.
//!
//! The runtime's own moves green threads when that is good for them, which is too seldom to find
//! a thread-local that is cached over a migration. This one exists for nothing else.
//!
//! With `GTHREAD_TEST_WITHOUT=TP` it leaves the thread pointer as it is: the control, in which
//! the tests of thread-locals have to fail.

use crate::arch::{self, Context};
use crate::own_tls::{self, Block};
use crate::primitive::tls;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};

/// A green thread of this harness.
struct Green {
    context: Context,
    block: Block,
    slot: Slot,
    machine: *const Machine,
    last_machine: usize,
    body: Option<Box<dyn FnOnce() + Send>>,
}

/// The memory of a green thread: its stack, and its block at the end.
#[derive(Clone, Copy)]
struct Slot {
    bottom: *mut u8,
    block: Block,
}

struct Machine {
    root: Context,
    tp: usize,
    ended: std::cell::Cell<bool>,
}

#[derive(Clone, Copy)]
struct GreenPtr(*mut Green);
unsafe impl Send for GreenPtr {}
unsafe impl Send for Slot {}

struct Scheduler {
    ready: Mutex<VecDeque<GreenPtr>>,
    changed: Condvar,
    live: AtomicUsize,
    free: Mutex<Vec<Slot>>,
}

static SCHEDULER: Scheduler = Scheduler {
    ready: Mutex::new(VecDeque::new()),
    changed: Condvar::new(),
    live: AtomicUsize::new(0),
    free: Mutex::new(Vec::new()),
};

const SLOT_BYTES: usize = 512 * 1024;

/// Whether a switch leaves the thread pointer as it is.
static SHARED: AtomicBool = AtomicBool::new(false);

/// Starts machines, runs `body` as a green thread, and waits until no green thread is left.
pub(crate) fn run(machines: usize, body: fn()) {
    own_tls::support().expect("supported here");
    SHARED.store(std::env::var("GTHREAD_TEST_WITHOUT").as_deref() == Ok("TP"), SeqCst);
    own_tls::on_stack_asked(|| {
        let green = unsafe { &*current()? };
        let bottom = green.slot.bottom;
        Some((bottom, green.block.stack_top() as usize - bottom as usize))
    });
    spawn(body);
    let machines: Vec<_> = (0..machines).map(|i| std::thread::spawn(move || machine(i))).collect();
    machines.into_iter().for_each(|machine| machine.join().expect("a machine"));
}

/// Starts a green thread.
pub(crate) fn spawn(body: impl FnOnce() + Send + 'static) {
    SCHEDULER.live.fetch_add(1, SeqCst);
    let slot = own_tls::on_machine(|| {
        let used = SCHEDULER.free.lock().expect("free").pop();
        used.inspect(|slot| unsafe { own_tls::renew(slot.block) }).unwrap_or_else(new_slot)
    });
    let green = Box::into_raw(Box::new(Green {
        context: Context::EMPTY,
        block: slot.block,
        slot,
        machine: std::ptr::null(),
        last_machine: usize::MAX,
        body: Some(Box::new(body)),
    }));
    let (bottom, top) = (slot.bottom, slot.block.stack_top());
    unsafe { (*green).context = arch::prepare(bottom, top, entry, green.cast()) };
    let tp = slot.block.thread_pointer();
    let offset = tls::local_offset(arch::thread_pointer());
    unsafe { tls::write(tp, offset, green.cast(), 0) };
    own_tls::on_machine(|| push(GreenPtr(green)));
}

fn new_slot() -> Slot {
    let support = own_tls::support().expect("supported here");
    let bytes = SLOT_BYTES + support.block_bytes();
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let bottom = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    assert_ne!(bottom, libc::MAP_FAILED);
    unsafe { libc::mprotect(bottom, 4096, libc::PROT_NONE) };
    let bottom = bottom.cast::<u8>();
    let block = unsafe { own_tls::build(bottom.add(bytes)) }.expect("a block");
    Slot { bottom: unsafe { bottom.add(4096) }, block }
}

fn push(green: GreenPtr) {
    SCHEDULER.ready.lock().expect("ready").push_back(green);
    SCHEDULER.changed.notify_all();
}

/// Not inlined: without the switch of the thread pointer its value must not be kept.
#[inline(never)]
fn current() -> Option<*mut Green> {
    let current = tls::current();
    (!current.is_null()).then_some(current.cast_mut().cast())
}

unsafe extern "C" fn entry(green: *mut ()) -> ! {
    let green = green.cast::<Green>();
    assert_eq!(current(), Some(green), "the block is the green thread's");
    let body = unsafe { (*green).body.take() }.expect("not run yet");
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err() {
        unsafe { libc::_exit(101) };
    }
    if own_tls::in_forked_child() {
        unsafe { libc::_exit(99) };
    }
    if !SHARED.load(SeqCst) {
        unsafe { own_tls::run_destructors() };
    }
    unsafe { (*(*green).machine).ended.set(true) };
    leave(green);
    unreachable!("an ended green thread was resumed");
}

/// Suspends the running green thread; another machine resumes it.
pub(crate) fn yield_now() {
    match current() {
        Some(green) => leave(green),
        None => std::thread::yield_now(),
    }
}

#[inline(never)]
fn leave(green: *mut Green) {
    unsafe {
        let machine = (*green).machine;
        let tp = (*machine).tp;
        if !SHARED.load(SeqCst) {
            own_tls::lend((*green).block.thread_pointer(), tp);
        }
        arch::switch(&raw const (*green).context, &raw const (*machine).root, tp);
    }
}

fn machine(number: usize) {
    let machine = Machine {
        root: Context::EMPTY,
        tp: arch::thread_pointer(),
        ended: std::cell::Cell::new(false),
    };
    let offset = tls::local_offset(arch::thread_pointer());
    while let Some(GreenPtr(green)) = next(number) {
        unsafe {
            (*green).machine = &raw const machine;
            (*green).last_machine = number;
            if SHARED.load(SeqCst) {
                tls::set_current(green.cast());
                arch::switch(&raw const machine.root, &raw const (*green).context, machine.tp);
                tls::set_current(std::ptr::null());
            } else {
                let tp = (*green).block.thread_pointer();
                tls::write_machine_tp(tp, offset, machine.tp);
                own_tls::lend(machine.tp, tp);
                arch::switch(&raw const machine.root, &raw const (*green).context, tp);
            }
        }
        if machine.ended.take() {
            let slot = unsafe { Box::from_raw(green) }.slot;
            SCHEDULER.free.lock().expect("free").push(slot);
            SCHEDULER.live.fetch_sub(1, SeqCst);
            SCHEDULER.changed.notify_all();
        } else {
            push(GreenPtr(green));
        }
    }
}

/// The next green thread that another machine ran last.
fn next(number: usize) -> Option<GreenPtr> {
    let mut ready = SCHEDULER.ready.lock().expect("ready");
    loop {
        if SCHEDULER.live.load(SeqCst) == 0 {
            SCHEDULER.changed.notify_all();
            return None;
        }
        let foreign = |green: &GreenPtr| unsafe { (*green.0).last_machine } != number;
        if let Some(index) = ready.iter().position(foreign) {
            return ready.remove(index);
        }
        ready = SCHEDULER.changed.wait(ready).expect("ready");
    }
}
