//! What the tests share: a watchdog that lets a hang explain itself, and a seed that is printed.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test explains itself")]

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Prints the dump and aborts if the test has not ended in time.
pub(crate) struct Watchdog(Arc<AtomicBool>);

impl Watchdog {
    /// Watches over the test `name` for `limit`.
    pub(crate) fn new(name: &'static str, limit: Duration) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let watched = done.clone();
        std::thread::spawn(move || {
            let mut given = GivenTime::new();
            while given.so_far() < limit {
                if watched.load(Ordering::Acquire) {
                    return;
                }
                given.sleep(Duration::from_millis(20));
            }
            explain(name, limit);
            std::process::abort();
        });
        Self(done)
    }
}

/// Says what everybody is doing. Not by the macros: what those write is captured by the harness,
/// and would be lost with the process.
fn explain(name: &str, limit: Duration) {
    let mut text = format!("{name}: not done after {limit:?}\n{}\n", gthread::inspect::metrics());
    for line in gthread::inspect::dump().to_string().lines().take(200) {
        text.push_str(line);
        text.push('\n');
    }
    let _nobody_to_tell = std::io::stderr().write_all(text.as_bytes());
}

/// The time that the machine has given this process: while one of its threads waits for a CPU, on
/// a machine that others use too or that stands still itself, a tenth counts. So what hangs is
/// found in time, and what is only kept from running is not taken for it.
///
/// Two signs of that: this thread wakes late; and what the kernel says of each of the others. That
/// is lost when one ends, so where they come and go the first sign has to do.
struct GivenTime {
    since: Instant,
    late: Duration,
    waited: HashMap<OsString, u64>,
    counted: Duration,
}

impl GivenTime {
    fn new() -> Self {
        let (late, counted) = (Duration::ZERO, Duration::ZERO);
        Self { since: Instant::now(), late, waited: waited_for_cpus(), counted }
    }

    /// Sleeps, and notes by how much too long.
    fn sleep(&mut self, duration: Duration) {
        let start = Instant::now();
        std::thread::sleep(duration);
        self.late += start.elapsed().saturating_sub(duration);
    }

    /// Looked up about once a second.
    fn so_far(&mut self) -> Duration {
        let passed = self.since.elapsed();
        if passed >= Duration::from_secs(1) {
            let before = std::mem::replace(&mut self.waited, waited_for_cpus());
            let waits = self.waited.iter().map(|(thread, now)| {
                now.saturating_sub(before.get(thread).copied().unwrap_or_default())
            });
            let starved = Duration::from_nanos(waits.sum()).max(self.late).min(passed);
            self.counted += passed - starved * 9 / 10;
            self.late = Duration::ZERO;
            self.since = Instant::now();
        }
        self.counted
    }
}

/// How long each thread of the process has been ready to run and did not, in nanoseconds; nothing
/// where the kernel does not say.
fn waited_for_cpus() -> HashMap<OsString, u64> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return HashMap::new() };
    let of_one = |directory: std::fs::DirEntry| -> Option<(OsString, u64)> {
        let line = std::fs::read_to_string(directory.path().join("schedstat")).ok()?;
        Some((directory.file_name(), line.split_whitespace().nth(1)?.parse().ok()?))
    };
    threads.flatten().filter_map(of_one).collect()
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Watches over a test for three minutes: tests of seconds end in that on a machine that gives them
/// a tenth of what they need and hides it, too.
pub(crate) fn watch(name: &'static str) -> Watchdog {
    Watchdog::new(name, Duration::from_secs(180))
}

/// Waits for a thing that happens soon, in other threads; the watchdog ends a wait in vain.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    println!("waits: {what}");
    while !holds() {
        std::thread::yield_now();
    }
}

/// For tests that look at the whole process: one after the other, also after one that failed.
pub(crate) fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A xorshift generator; its seed is printed, and taken from `GTHREAD_SEED`.
pub(crate) struct Random(u64);

impl Random {
    /// A generator for the test `name`.
    pub(crate) fn new(name: &str) -> Self {
        let seed = std::env::var("GTHREAD_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |now| now.as_nanos() as u64) | 1
        });
        println!("{name}: GTHREAD_SEED={seed}");
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A generator of its own for a green thread.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next() | 1)
    }
}

/// How many times its usual work a stress test is asked to do: `GTHREAD_STRESS`, or 1.
pub(crate) fn stress_asked() -> u64 {
    std::env::var("GTHREAD_STRESS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// A runtime with `processors` processors.
pub(crate) fn runtime(processors: usize) -> gthread::Runtime {
    gthread::Runtime::builder().processors(processors).build().expect("a runtime")
}

/// How a runtime carries its green threads: a suite that is parametrised runs on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// By machines, with so many processors.
    Processors(usize),
    /// Each by an OS thread.
    OsThreads,
}

/// All of them.
pub(crate) const CARRIERS: [Carrier; 4] =
    [Carrier::Processors(1), Carrier::Processors(2), Carrier::Processors(4), Carrier::OsThreads];

impl Carrier {
    /// A runtime of this kind.
    pub(crate) fn runtime(self) -> gthread::Runtime {
        match self {
            Self::Processors(processors) => runtime(processors),
            Self::OsThreads => gthread::Runtime::builder()
                .processors(2)
                .os_threads(true)
                .build()
                .expect("a runtime of OS threads"),
        }
    }
}

/// Runs `f` as a green thread of a runtime of each kind, each under a watchdog; then the runtime
/// must come to its end.
pub(crate) fn on_each_carrier(name: &'static str, f: impl Fn() + Sync) {
    for carrier in CARRIERS {
        println!("{name}: {carrier:?}");
        let _dog = watch(name);
        let runtime = carrier.runtime();
        runtime.run(&f);
        runtime.shutdown();
    }
}

/// As [`on_each_carrier`], for tests that use the runtime itself, from an OS thread.
pub(crate) fn with_each_carrier(name: &'static str, f: impl Fn(&gthread::Runtime)) {
    for carrier in CARRIERS {
        println!("{name}: {carrier:?}");
        let _dog = watch(name);
        let runtime = carrier.runtime();
        f(&runtime);
        runtime.shutdown();
    }
}

/// Set in a process that a test has started of itself: the name of the test.
const CHILD: &str = "GTHREAD_TEST_CHILD";

/// Whether this process was started by [`in_child`] for the test `name`.
pub(crate) fn is_child(name: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|child| child == name)
}

/// The test `name` of this binary, to be run again in a process of its own, with further variables.
pub(crate) fn child(name: &str, variables: &[(&str, &str)]) -> std::process::Command {
    // Without /proc nobody knows the path but whoever started it; cargo gives it in full.
    let program =
        std::env::current_exe().ok().or_else(|| std::env::args_os().next().map(Into::into));
    let program: std::path::PathBuf = program.expect("this program has a path");
    let mut command = std::process::Command::new(program);
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(CHILD, name);
    command.envs(variables.iter().copied());
    command
}

/// Runs a [`child`] to its end.
pub(crate) fn in_child(name: &str, variables: &[(&str, &str)]) -> std::process::Output {
    child(name, variables).output().expect("this program starts")
}

/// What a child wrote on standard error.
pub(crate) fn errors_of(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails unless the child passed its test.
pub(crate) fn assert_passed(output: &std::process::Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{text}\n{}", output.status, errors_of(output));
    assert!(text.contains("1 passed"), "the child ran no test: {text}");
}

/// Fails unless the child died of `signal`.
pub(crate) fn assert_died_of(output: &std::process::Output, signal: i32) {
    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(output.status.signal(), Some(signal), "{output:?}");
}

/// The text a panic was made with, if it was made with one.
fn message_of<'a>(info: &'a std::panic::PanicHookInfo<'_>) -> Option<&'a str> {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
}

/// Silences the messages of panics that are made on purpose, in the whole process.
pub(crate) fn silence_panics_on_purpose() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let is_on_purpose = |text: &str| {
                text.contains("on purpose")
                    || text == "a scoped green thread panicked"
                    || text.starts_with("dropped `SelectedOperation`")
                    || text.starts_with("failed to spawn a green thread")
                    || text.starts_with("failed to tie a green thread")
                    || text.starts_with("cannot start the default runtime")
                    || text == "LazyLock instance has previously been poisoned"
            };
            if !message_of(info).is_some_and(is_on_purpose) {
                previous(info);
            }
        }));
    });
}

/// Counts the values that are alive: one of these is one.
#[derive(Debug)]
pub(crate) struct Counted(Arc<std::sync::atomic::AtomicIsize>);

/// The count of [`Counted`] values, which nobody may take below zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count(Arc<std::sync::atomic::AtomicIsize>);

impl Count {
    /// A value that counts.
    pub(crate) fn one(&self) -> Counted {
        self.0.fetch_add(1, Ordering::AcqRel);
        Counted(self.0.clone())
    }

    /// How many are alive.
    pub(crate) fn alive(&self) -> isize {
        self.0.load(Ordering::Acquire)
    }

    /// Waits until none is alive; fails if one is dropped twice.
    pub(crate) fn wait_for_none(&self) {
        while self.alive() > 0 {
            gthread::yield_now();
        }
        assert_eq!(self.alive(), 0, "dropped twice");
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
