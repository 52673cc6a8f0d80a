//! Overflows, other faults, and the handlers that were there before.

use super::*;
use crate::primitive::abort::Line;
use crate::sys::signal::{self, raise_again};
use crate::sys::testing::{self as kernel, SIGABRT, SIGSEGV};
use overflow::AlternateStack;
use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;

/// The cases of this file.
pub(super) fn run_case(case: &str) -> bool {
    match case {
        "named" => overflow(Some(1)),
        "named at length" => overflow(Some(2)),
        "unnamed" => overflow(Some(3)),
        "unannounced" => overflow(None),
        "leap" => leap(),
        "poisoned" => without_markers(false),
        "protected" => without_markers(true),
        "free" => free(),
        "null" => null(),
        "std" => std_thread(),
        "default" => by_hand(kernel::SIG_DFL, 0),
        "ignore" => by_hand(kernel::SIG_IGN, 0),
        "ignored fault" => ignored_fault(),
        "plain" => by_hand(plain as *const () as usize, 0),
        "masked" => by_hand(masked as *const () as usize, kernel::SA_SIGINFO),
        "nested" => by_hand(unmasked as *const () as usize, kernel::SA_NODEFER),
        "one shot" => by_hand(plain_once as *const () as usize, kernel::SA_RESETHAND),
        "alternate" => alternate(),
        _ => return false,
    }
    true
}

/// Runs a case that must die of `signal`; returns what it wrote.
fn dies(case: &str, signal: i32) -> String {
    let output = run(case);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.signal(), Some(signal), "{case}: {:?}\n{stderr}", output.status);
    // What an emulator adds is not the program's.
    stderr.split_inclusive('\n').filter(|line| !line.starts_with("qemu: ")).collect()
}

#[test]
fn an_overflow_names_the_green_thread_and_its_stack_size() {
    let expected = "green thread 'deep thought' has overflowed its stack (131072 bytes)\n";
    assert_eq!(dies("named", SIGABRT), expected);
}

#[test]
fn a_long_name_leaves_room_for_the_rest() {
    let stderr = dies("named at length", SIGABRT);
    assert!(stderr.starts_with("green thread 'xxxx"));
    assert!(stderr.ends_with("xx' has overflowed its stack (131072 bytes)\n"));
}

#[test]
fn an_overflow_without_a_name_is_reported_too() {
    let expected = "green thread '<unnamed>' has overflowed its stack (131072 bytes)\n";
    assert_eq!(dies("unnamed", SIGABRT), expected);
    assert_eq!(dies("unannounced", SIGABRT), expected);
}

#[test]
fn a_frame_that_is_not_probed_still_meets_the_guard() {
    let expected = "green thread '<unnamed>' has overflowed its stack (131072 bytes)\n";
    assert_eq!(dies("leap", SIGABRT), expected);
}

#[test]
#[cfg(feature = "fault-injection")]
fn guards_made_in_other_ways_are_reported_alike() {
    let expected = "green thread '<unnamed>' has overflowed its stack (131072 bytes)\n";
    assert_eq!(dies("poisoned", SIGABRT), expected);
    assert_eq!(dies("protected", SIGABRT), expected);
}

#[test]
fn other_faults_die_as_before() {
    assert_eq!(dies("free", SIGSEGV), "", "the guard of a free slot is no green thread's");
    assert_eq!(dies("null", SIGSEGV), "");
    assert_eq!(dies("default", SIGSEGV), "");
    assert_eq!(dies("ignored fault", SIGSEGV), "");
}

#[test]
fn the_report_of_std_still_works() {
    let stderr = dies("std", SIGABRT);
    assert!(stderr.contains("thread 'a thread of std'"), "{stderr}");
    assert!(stderr.contains("has overflowed its stack"), "{stderr}");
    assert!(!stderr.contains("green thread"), "{stderr}");
}

#[test]
fn the_previous_handler_is_called_as_the_kernel_would() {
    for case in ["ignore", "plain", "masked", "nested"] {
        pass(case);
    }
    assert_eq!(dies("one shot", SIGSEGV), "once\n");
}

#[test]
fn an_alternate_stack_puts_the_one_before_back() {
    pass("alternate");
}

fn size() -> StackSize {
    StackSize::new(128 << 10).expect("in range")
}

fn namer(owner: *const (), out: &mut Line) -> bool {
    // A `Line` never fails to be written to.
    let _ = match owner as usize {
        1 => out.write_str("deep thought"),
        2 => (0..1000).try_for_each(|_| out.write_str("x")),
        _ => return false,
    };
    true
}

/// Recurses with real frames until the stack is gone.
#[inline(never)]
fn descend(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == u64::MAX {
        return frame[0];
    }
    descend(depth + 1) + std::hint::black_box(frame)[7]
}

extern "C" fn fall(_: *mut std::ffi::c_void) -> *mut std::ffi::c_void {
    let _alternate = AlternateStack::new().expect("an alternate stack");
    std::hint::black_box(descend(0));
    std::ptr::null_mut()
}

fn overflow(owner: Option<usize>) {
    overflow::install().expect("handlers can be installed");
    overflow::set_namer(namer);
    let stack = stack(size());
    if let Some(owner) = owner {
        stack.set_owner(owner as *const ());
    }
    let bytes = stack.end() as usize - stack.bottom() as usize;
    // SAFETY: the stack is bound to this test alone.
    unsafe { kernel::run_on(stack.bottom(), bytes, fall) };
}

fn leap() {
    overflow::install().expect("handlers can be installed");
    let stack = stack(size());
    // SAFETY: none: this is the fault the test is about.
    unsafe { stack.bottom().wrapping_sub(60 << 10).write_volatile(1) };
}

/// Overflows a stack whose guard was made for an older kernel.
fn without_markers(also_without_poison: bool) {
    #[cfg(feature = "fault-injection")]
    {
        use crate::sys::fault::{Call, fail};
        fail(Call::GuardInstall, 0, u64::MAX, 22);
        if also_without_poison {
            fail(Call::Poison, 0, u64::MAX, 1);
        }
    }
    let _ = also_without_poison;
    leap();
}

fn free() {
    overflow::install().expect("handlers can be installed");
    let stack = stack(size());
    let guard = stack.bottom().wrapping_sub(8);
    give_all([stack]);
    // SAFETY: none: this is the fault the test is about.
    unsafe { guard.write_volatile(1) };
}

fn null() {
    overflow::install().expect("handlers can be installed");
    // SAFETY: none: this is the fault the test is about.
    unsafe { std::hint::black_box(8 as *mut u8).write_volatile(1) };
}

fn std_thread() {
    overflow::install().expect("handlers can be installed");
    let thread = std::thread::Builder::new().name("a thread of std".into());
    let thread = thread.spawn(|| {
        let _alternate = AlternateStack::new().expect("an alternate stack");
        descend(0)
    });
    let _ = thread.expect("a thread").join();
}

/// Installs an action, then ours, then sends the signal.
fn by_hand(handler: usize, flags: i32) {
    kernel::set_action(SIGSEGV, handler, flags, &[kernel::SIGUSR1]);
    overflow::install().expect("handlers can be installed");
    raise_again(SIGSEGV);
    if flags & kernel::SA_RESETHAND != 0 {
        raise_again(SIGSEGV);
    }
    if handler != kernel::SIG_IGN {
        panic!("the handler ends the process");
    }
    assert!(!kernel::is_blocked(SIGSEGV));
}

fn ignored_fault() {
    kernel::set_action(SIGSEGV, kernel::SIG_IGN, 0, &[]);
    null();
}

/// Ends the process well if a handler saw what it should.
fn conclude(is_right: bool) -> ! {
    kernel::exit_now(if is_right { 0 } else { 3 })
}

extern "C" fn plain(signal: i32) {
    conclude(
        signal == SIGSEGV && kernel::is_blocked(SIGSEGV) && kernel::is_blocked(kernel::SIGUSR1),
    );
}

extern "C" fn masked(signal: i32, info: *mut signal::Info, context: *mut std::ffi::c_void) {
    // SAFETY: the arguments of a handler.
    let origin = unsafe { signal::origin(info) };
    let is_right = !origin.is_fault && !context.is_null() && !kernel::is_blocked(kernel::SIGUSR2);
    conclude(signal == SIGSEGV && is_right && kernel::is_blocked(kernel::SIGUSR1));
}

extern "C" fn unmasked(signal: i32) {
    conclude(signal == SIGSEGV && !kernel::is_blocked(SIGSEGV));
}

extern "C" fn plain_once(_: i32) {
    let mut line = Line::new();
    let _ = writeln!(line, "once");
    line.emit();
}

fn alternate() {
    std::thread::spawn(|| {
        let of_std = signal::SignalStack::current().expect("std installs one");
        assert!(!of_std.start().is_null());
        let first = AlternateStack::new().expect("an alternate stack");
        let during = signal::SignalStack::current().expect("it can be asked");
        assert_ne!(of_std.start(), during.start());
        drop(first);
        let after = signal::SignalStack::current().expect("it can be asked");
        assert_eq!(of_std.start(), after.start());
    })
    .join()
    .expect("no assertion failed");
    extern "C" fn bare(_: *mut std::ffi::c_void) -> *mut std::ffi::c_void {
        drop(AlternateStack::new().expect("an alternate stack"));
        let after = signal::SignalStack::current().expect("it can be asked");
        assert!(after.start().is_null());
        std::ptr::null_mut()
    }
    let stack = stack(size());
    // SAFETY: the stack is bound to this test alone.
    unsafe { kernel::run_on(stack.bottom(), stack.size(), bare) };
    give_all([stack]);
}
