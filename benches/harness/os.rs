//! What the benches ask the kernel directly.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// Makes the command run on the last `count` of this process's processors.
///
/// One processor means one core: otherwise a runtime's helper threads work on
/// the other one, and the row measures something else than it says. The last
/// ones, because interrupts and daemons like the first.
pub(crate) fn pin_at_start(command: &mut Command, count: usize) {
    let Ok(allowed) = allowed_cpus() else { return };
    let mut chosen: libc::cpu_set_t = empty_set();
    for &cpu in allowed.iter().rev().take(count) {
        // SAFETY: `cpu` is below CPU_SETSIZE, because `allowed_cpus` counts up to it.
        unsafe { libc::CPU_SET(cpu, &mut chosen) };
    }
    let pin = move || {
        // SAFETY: the set is a valid `cpu_set_t` of the size given.
        let done = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &chosen) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(pin) };
}

/// Keeps the calling thread, and those it starts, to the first of its processors, so that the
/// others are somebody else's alone.
pub(crate) fn keep_to_first() {
    let Ok(allowed) = allowed_cpus() else { return };
    let mut first = empty_set();
    // SAFETY: it is below CPU_SETSIZE, because `allowed_cpus` counts up to it.
    allowed.iter().take(1).for_each(|&cpu| unsafe { libc::CPU_SET(cpu, &mut first) });
    // SAFETY: the set is a valid `cpu_set_t` of the size given.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &first) };
}

fn empty_set() -> libc::cpu_set_t {
    // SAFETY: `cpu_set_t` is an array of integers, for which zeroes are the empty set.
    unsafe { std::mem::zeroed() }
}

fn allowed_cpus() -> io::Result<Vec<usize>> {
    let mut set = empty_set();
    // SAFETY: the set is a valid `cpu_set_t` of the size given.
    let done = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let cpus = 0..libc::CPU_SETSIZE as usize;
    // SAFETY: `cpu` is below CPU_SETSIZE.
    Ok(cpus.filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect())
}

/// Processors that this process may use.
pub(crate) fn processors() -> usize {
    allowed_cpus().map_or(1, |cpus| cpus.len())
}

/// Blocks the calling OS thread in the kernel, behind the back of any runtime.
pub(crate) fn block_raw(duration: Duration) {
    let time = timespec(duration);
    // SAFETY: `time` is valid, and a null remainder is allowed. The raw system call is what
    // a C library's blocking call looks like to a runtime that replaces symbols.
    unsafe {
        libc::syscall(
            libc::SYS_clock_nanosleep,
            libc::CLOCK_MONOTONIC,
            0,
            &raw const time,
            std::ptr::null_mut::<libc::timespec>(),
        )
    };
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: duration.as_secs() as libc::time_t,
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Sets the calling thread's timer slack to 1 ns; the kernel's default is 50 µs.
pub(crate) fn exact_timers() {
    // SAFETY: the option takes one integer argument and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_usize, 0_usize, 0_usize, 0_usize) };
}

/// An epoll instance that no descriptor is in: what a netpoller sleeps in.
#[derive(Debug)]
pub(crate) struct EmptyEpoll(libc::c_int);

impl EmptyEpoll {
    pub(crate) fn new() -> Self {
        // SAFETY: the call takes a flag and touches no memory.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(fd >= 0, "epoll_create1: {}", io::Error::last_os_error());
        Self(fd)
    }

    pub(crate) fn wait(&self, duration: Duration) {
        let time = timespec(duration);
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: one event fits `event`, `time` is valid, a null signal mask is allowed.
        unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.0,
                &raw mut event,
                1,
                &raw const time,
                std::ptr::null::<libc::sigset_t>(),
                8,
            )
        };
    }
}

/// Context switches and processor time of the whole process so far.
pub(crate) fn usage() -> (u64, Duration) {
    // SAFETY: `rusage` is a struct of integers, for which zeroes are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid `rusage`.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    let switches = usage.ru_nvcsw + usage.ru_nivcsw;
    (switches as u64, time(usage.ru_utime) + time(usage.ru_stime))
}

/// Processor time of the process `id` so far.
pub(crate) fn processor_time_of(id: u32) -> Duration {
    let mut clock = 0;
    // SAFETY: `clock` is a valid place for a clock's name.
    let found = unsafe { libc::clock_getcpuclockid(id as libc::pid_t, &raw mut clock) };
    assert_eq!(found, 0, "process {id} is there");
    let mut time = timespec(Duration::ZERO);
    // SAFETY: `time` is a valid place for a time.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Memory of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) resident_bytes: u64,
    pub(crate) page_table_bytes: u64,
    pub(crate) mappings: u64,
}

pub(crate) fn memory() -> Memory {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    Memory {
        resident_bytes: field_kib(&status, "VmRSS:") * 1024,
        page_table_bytes: field_kib(&status, "VmPTE:") * 1024,
        mappings: maps.lines().count() as u64,
    }
}

/// What the machine can still give, from /proc/meminfo.
pub(crate) fn available_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    field_kib(&text, "MemAvailable:") * 1024
}

fn field_kib(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// One line that says where the figures were taken.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")?.split(": ").nth(1));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut parts = vec![
        format!("{} ({} processors)", model.unwrap_or(std::env::consts::ARCH), processors()),
        format!("Linux {}", kernel.trim().split('-').next().unwrap_or_default()),
    ];
    parts.extend(libc_version());
    parts.extend(first_line(Command::new("rustc").arg("-V")).map(|l| first_words(&l, 2)));
    parts.extend(peer_versions());
    parts.extend(first_line(Command::new("go").arg("env").arg("GOVERSION")));
    parts.join(", ")
}

fn libc_version() -> Option<String> {
    let text = first_line(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
    Some(text)
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stderr(std::process::Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn first_words(text: &str, count: usize) -> String {
    text.split_whitespace().take(count).collect::<Vec<_>>().join(" ")
}

/// The peers' versions, as Cargo.lock has them.
fn peer_versions() -> Vec<String> {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));
    let lock = lock.unwrap_or_default();
    let version = |name: &str| {
        let entry = lock.split(&format!("name = \"{name}\"\n")).nth(1)?;
        Some(format!("{name} {}", entry.lines().next()?.split('"').nth(1)?))
    };
    ["tokio", "smol", "may"].into_iter().filter_map(version).collect()
}
