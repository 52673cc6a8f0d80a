//! Memory goes back to the kernel by the runtime's monitor alone, and what limits it is checked.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test that unwraps is a test that fails")]

mod common;

use gthread::alloc::{self, Collect, GthreadAlloc, size_class};
use std::alloc::Layout;
use std::process::Command;
use std::time::Duration;

#[cfg_attr(not(feature = "test-allocator"), global_allocator)]
#[cfg_attr(feature = "test-allocator", allow(dead_code))]
static GLOBAL: GthreadAlloc = GthreadAlloc::new();

/// Nobody allocates, nobody ticks but the monitor, and the processors are idle.
#[test]
fn the_monitor_gives_back_what_green_threads_have_freed() {
    let _alone = common::one_at_a_time();
    let _watch = common::watch("the_monitor_gives_back_what_green_threads_have_freed");
    // Looked at before anything is freed: the monitor may be quicker than this thread.
    let before = alloc::stats();
    let fill = |seed: usize| {
        let blocks: Vec<Vec<u8>> = (0..4_000).map(|at| vec![1; 16 + (seed + at) % 1500]).collect();
        blocks.len()
    };
    let threads: Vec<_> = (0..4).map(|seed| gthread::spawn(move || fill(seed))).collect();
    assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), 16_000);
    // The condition is waited for, not a time; the watchdog ends a wait in vain.
    loop {
        let stats = alloc::stats();
        if stats.scavenged_bytes > before.scavenged_bytes
            && stats.retained_bytes <= stats.committed_bytes / 8 + (2 << 20)
        {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn collect_everything_leaves_no_free_page_resident() {
    let _alone = common::one_at_a_time();
    let blocks: Vec<Vec<u8>> = (0..5000).map(|at| vec![1; 16 + at % 3000]).collect();
    drop(blocks);
    alloc::collect(Collect::Everything);
    let kept = alloc::stats().retained_bytes;
    assert!(kept <= 4 << 20, "{kept} bytes of free pages are kept");
}

/// Runs this program again with a limit in its environment; what it wrote to standard error.
fn with_limit(limit: &str) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("GTHREAD_MEMLIMIT", limit).arg("--list");
    let output = command.output().unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_limit_that_cannot_be_read_is_named_with_what_is_accepted() {
    for limit in ["12T", "-1", "lots", "", "99999999999999999999"] {
        let message = with_limit(limit);
        let wanted = format!("gthread: GTHREAD_MEMLIMIT={limit}: not a number of bytes from 0 to ");
        assert!(message.contains(&wanted), "{limit:?}: {message:?}");
        assert!(message.contains("optional K, M or G"), "{message:?}");
    }
    assert_eq!(with_limit("512M"), "", "a good limit is no news");
}

/// Voluntary switches so far of the runtime's threads: machines and monitor.
fn switches() -> u64 {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        if read("comm").starts_with("gthread") {
            let status = read("status");
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
            let count = line.and_then(|line| line.split_whitespace().nth(1));
            sum += count.and_then(|text| text.parse().ok()).unwrap_or(0);
        }
    }
    sum
}

/// Waits for half a second in which no thread of the runtime wakes; the watchdog ends a wait in vain.
fn wait_for_sleep() {
    loop {
        let before = switches();
        std::thread::sleep(Duration::from_millis(500));
        if switches() == before {
            break;
        }
    }
}

/// The scavenger's ticks end when there is nothing more to give back: half a second passes in
/// which no thread of the runtime wakes, sooner or later.
#[test]
fn a_program_with_parked_threads_and_freed_memory_falls_asleep() {
    let _alone = common::one_at_a_time();
    // An unoptimised scavenger under load is slow, and one per cent is all it may use.
    let name = "a_program_with_parked_threads_and_freed_memory_falls_asleep";
    let _watch = common::Watchdog::new(name, Duration::from_secs(300));
    let runtime = common::runtime(2);
    let threads: Vec<_> = (0..1000)
        .map(|seed| {
            runtime.spawn(move || {
                drop((0..10).map(|at| vec![1u8; 16 + (seed + at) % 3000]).collect::<Vec<_>>());
                gthread::park();
            })
        })
        .collect();
    wait_for_sleep();
    for thread in threads {
        thread.thread().unpark();
        thread.join().unwrap();
    }
    runtime.shutdown();
}

/// What others free into the spans of a machine goes back though the machine allocates nothing any
/// more: the one that sleeps in the poller gives its spans up, as those do that wait for a
/// processor. It does so once, and sleeps on.
#[test]
fn a_machine_asleep_in_the_poller_gives_its_spans_up() {
    let _alone = common::one_at_a_time();
    // A size of which nothing else in this program has a block.
    const BYTES: usize = 27_000;
    let _watch = common::watch("a_machine_asleep_in_the_poller_gives_its_spans_up");
    let spans = || {
        let class = size_class(Layout::array::<u8>(BYTES).unwrap());
        let stats = alloc::stats();
        stats.classes.iter().find(|row| row.block_bytes == class).unwrap().spans
    };
    let runtime = common::runtime(1);
    let listener = runtime.run(|| gthread::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let before = spans();
    let (sender, receiver) = std::sync::mpsc::channel();
    let waiting = runtime.spawn(move || {
        sender.send(vec![1_u8; BYTES]).unwrap();
        // The machine has nothing else to do: it sleeps in the poller until somebody comes.
        listener.accept().map(drop)
    });
    drop(receiver.recv().unwrap());
    while spans() > before {
        std::thread::sleep(Duration::from_millis(5));
    }
    wait_for_sleep();
    let _client = std::net::TcpStream::connect(address).unwrap();
    waiting.join().unwrap().unwrap();
    runtime.shutdown();
}
