// One process per cell: `<program> <cell> <threads>` runs a workload and prints one line,
// `ns-per-operation cpu-ns-per-operation start-kib peak-kib idle-kib`. Included by the program of
// each allocator, which defines `ALLOCATOR`, `before` and `peak_kib`.

#[path = "cells.rs"]
mod cells;

/// A value of `/proc/self/status` in KiB.
fn status_kib(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Processor time of the process in nanoseconds.
fn cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place; every Linux has the clock.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let (Some(name), Some(threads)) = (arguments.next(), arguments.next()) else {
        return;
    };
    let Some((_, cell)) = cells::CELLS.iter().find(|(cell, _)| *cell == name) else {
        eprintln!("no cell {name}");
        std::process::exit(2);
    };
    let threads: usize = threads.parse().unwrap_or(1);
    before();
    let start_kib = status_kib("VmRSS:");
    let (cpu, start) = (cpu_ns(), std::time::Instant::now());
    let operations = cell(threads);
    let wall = start.elapsed().as_nanos() as u64;
    let cpu = cpu_ns() - cpu;
    let peak_kib = peak_kib(start_kib);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let idle_kib = status_kib("VmRSS:");
    println!(
        "{:.3} {:.3} {start_kib} {peak_kib} {idle_kib}",
        wall as f64 / operations as f64,
        cpu as f64 / operations as f64,
    );
}
