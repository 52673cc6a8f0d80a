//! What the tests stand on: a process of their own, green threads that migrate, modules to load.

use crate::arch::{self, Context};
use crate::own_tls::{self, Block};
use crate::primitive::tls;
use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Runs the body of a test as the first green thread of a process of its own.
macro_rules! alone {
    ($body:expr) => {{
        fn here() {}
        $crate::harness::alone(std::any::type_name_of_val(&here), $body)
    }};
}

const CHILD: &str = "GTHREAD_TEST_ALONE";

/// The function behind [`alone!`]; `place` is the path of a function inside the test.
pub fn alone(place: &str, body: fn()) {
    let path = place.strip_suffix("::here").expect("a path");
    let name = path.split_once("::").expect("a path in the crate").1;
    if std::env::var(CHILD).as_deref() == Ok(name) {
        run(4, body);
        return;
    }
    if let Err(outcome) = child(name, None, Duration::from_secs(120)) {
        panic!("{name}: {outcome}");
    }
}

/// Runs one test in a process of its own; how it failed, if it did.
pub fn child(name: &str, without: Option<&str>, limit: Duration) -> Result<(), String> {
    let mut command = Command::new(std::env::current_exe().expect("a program"));
    command.args(["--exact", name, "--nocapture", "--include-ignored"]).env(CHILD, name);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(fix) = without {
        command.env("GTHREAD_TEST_WITHOUT", fix);
    }
    let mut process = command.spawn().expect("a process");
    let mut streams: Vec<Box<dyn Read + Send>> = Vec::new();
    streams.extend(process.stdout.take().map(|s| Box::new(s) as _));
    streams.extend(process.stderr.take().map(|s| Box::new(s) as _));
    let readers: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            })
        })
        .collect();
    let end = Instant::now() + limit;
    let status = loop {
        match process.try_wait().expect("a child") {
            Some(status) => break status.to_string(),
            None if Instant::now() > end => {
                process.kill().expect("a child");
                process.wait().expect("a child");
                break "a hang".into();
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let output: String = readers.into_iter().map(|r| r.join().expect("text")).collect();
    if status == "exit status: 0" && output.contains("1 passed") {
        if output.contains("note: ") {
            output.lines().filter(|l| l.starts_with("note: ")).for_each(|l| eprintln!("{l}"));
        }
        return Ok(());
    }
    Err(format!("{status}\n{output}"))
}

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
    number: usize,
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
/// Green threads that ended by a panic: the test fails.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Starts machines, runs `body` as a green thread, and waits until no green thread is left.
pub fn run(machines: usize, body: fn()) {
    own_tls::support().expect("supported here");
    own_tls::on_stack_asked(|| {
        let green = unsafe { &*current()? };
        let bottom = green.slot.bottom;
        Some((bottom, green.block.stack_top() as usize - bottom as usize))
    });
    spawn(body);
    let machines: Vec<_> = (0..machines).map(|i| std::thread::spawn(move || machine(i))).collect();
    machines.into_iter().for_each(|machine| machine.join().expect("a machine"));
    assert_eq!(PANICS.load(SeqCst), 0, "green threads that panicked");
}

/// Starts a green thread.
pub fn spawn(body: impl FnOnce() + Send + 'static) {
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
    let offset = own_tls::support().expect("supported here").local_offset();
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

fn current() -> Option<*mut Green> {
    let current = tls::current();
    (!current.is_null()).then_some(current.cast_mut().cast())
}

unsafe extern "C" fn entry(green: *mut ()) -> ! {
    let green = green.cast::<Green>();
    assert_eq!(current(), Some(green), "the block is the green thread's");
    let body = unsafe { (*green).body.take() }.expect("not run yet");
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err() {
        PANICS.fetch_add(1, SeqCst);
    }
    if own_tls::in_forked_child() {
        unsafe { libc::_exit(99) };
    }
    unsafe { own_tls::run_destructors() };
    unsafe { (*(*green).machine).ended.set(true) };
    leave(green);
    unreachable!("an ended green thread was resumed");
}

/// Suspends the running green thread; another machine resumes it.
pub fn yield_now() {
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
        own_tls::lend((*green).block.thread_pointer(), tp);
        arch::switch(&raw const (*green).context, &raw const (*machine).root, tp);
    }
}

/// Yields `times` times.
pub fn yields(times: usize) {
    for _ in 0..times {
        yield_now();
    }
}

/// The number of the machine that carries the caller.
pub fn machine_number() -> usize {
    current().map_or(usize::MAX, |green| unsafe { (*(*green).machine).number })
}

fn machine(number: usize) {
    let machine = Machine {
        root: Context::EMPTY,
        tp: arch::thread_pointer(),
        number,
        ended: std::cell::Cell::new(false),
    };
    let offset = own_tls::support().expect("supported here").local_offset();
    while let Some(GreenPtr(green)) = next(number) {
        unsafe {
            (*green).machine = &raw const machine;
            (*green).last_machine = number;
            let tp = (*green).block.thread_pointer();
            tls::write_machine_tp(tp, offset, machine.tp);
            own_tls::lend(machine.tp, tp);
            arch::switch(&raw const machine.root, &raw const (*green).context, tp);
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

/// Green threads that are waited for together.
#[derive(Clone, Default)]
pub struct Group(Arc<AtomicUsize>);

impl Group {
    /// Starts a green thread of the group.
    pub fn spawn(&self, body: impl FnOnce() + Send + 'static) {
        struct Leave(Group);
        impl Drop for Leave {
            fn drop(&mut self) {
                self.0.0.fetch_sub(1, SeqCst);
            }
        }
        self.0.fetch_add(1, SeqCst);
        let leave = Leave(self.clone());
        spawn(move || {
            let _leave = leave;
            body();
        });
    }

    /// Waits until all have ended.
    pub fn wait(&self) {
        while self.0.load(SeqCst) != 0 {
            yield_now();
        }
    }
}

/// Runs `count` green threads and waits for them; each gets its number.
pub fn each(count: usize, body: impl Fn(usize) + Send + Sync + 'static) {
    let body = Arc::new(body);
    let group = Group::default();
    for number in 0..count {
        let body = body.clone();
        group.spawn(move || body(number));
    }
    group.wait();
}

/// Compiles C to a shared object in a directory of this process; `None` without a compiler.
pub fn shared_object(name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let directory = std::env::temp_dir().join(format!("gthread-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let object = directory.join(format!("lib{name}.so"));
    let text = directory.join(format!("{name}.c"));
    std::fs::write(&text, source).expect("a file");
    let compiled = Command::new(std::env::var_os("CC").unwrap_or("cc".into()))
        .args(["-shared", "-fPIC", "-O1"])
        .args(flags)
        .arg("-o")
        .args([&object, &text])
        .status();
    match compiled {
        Ok(status) if status.success() => Some(object),
        other => {
            eprintln!("note: skipped, no C compiler for lib{name}.so: {other:?}");
            None
        }
    }
}
