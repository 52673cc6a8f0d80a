//! Calls of libc that would mistake a green thread for an OS thread, set right.
//!
//! | fix | call | without it |
//! |---|---|---|
//! | F1 | `fork` and its kin | the kernel writes to a stack that libc frees in the child |
//! | F2 | `pthread_key_create`, `_delete` | destructors of keys do not run |
//! | F3 | `dlopen` | a new module's static thread-locals are zero in older green threads |
//! | F4 | signal 33, which `setuid` broadcasts | `setuid` signals the process for ever |
//! | F5 | `pthread_create`, `pthread_getattr_np`, `sched_getcpu` | threads without restartable sequences; no stack; processor 0 |
//! | F8 | `dlopen`, `dlclose` | the loader frees what a green thread is reading |
//! | F10 | `pthread_sigmask`, `sigprocmask` | a green thread's signal mask is the next one's too |
//!
//! (F6 is the lent words, F7 the resolver's state, F9 the mark of restartable sequences; they
//! need no symbol.)
//!
//! Each symbol is defined *weak*, by a label in front of a jump: two versions of the crate link
//! together, and a program that defines the symbol itself keeps its own. The start-up test then
//! refuses with the name of the fix that is missing, as it does in a shared object, which cannot
//! interpose for its host. The definition behind ours is asked of `dlsym(RTLD_NEXT)`; in a static
//! program it is the name libc uses for itself.
//!
//! On an OS thread everything passes straight through.
#![cfg_attr(
    any(gthread_tsan, gthread_asan),
    allow(dead_code, unused_macros, unused_imports, reason = "nobody calls it there")
)]

mod fork;
pub(super) mod keys;
#[cfg(not(target_feature = "crt-static"))]
pub(super) mod loader;
mod mask;
pub(super) mod setxid;
mod threads;

pub(crate) use fork::{in_forked_child, on_forked_child};
pub(crate) use mask::on_mask_changed;
pub(crate) use threads::on_stack_asked;

use super::Unsupported;
use crate::primitive::atomic::{AtomicU32, Ordering};
use crate::primitive::tls;
use crate::sys;

/// What is set right, each with a test that fails when it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Fix {
    Fork = 1,
    Keys = 2,
    StaticModules = 3,
    SetXid = 4,
    Threads = 5,
    Words = 6,
    Resolver = 7,
    Loader = 8,
    Rseq = 9,
    Mask = 10,
}

/// The fixes left out, a bit each; always 0 but in tests.
static LEFT_OUT: AtomicU32 = AtomicU32::new(0);

/// Reads `GTHREAD_TEST_WITHOUT=F4`, the fix that a test wants to see missing.
pub(super) fn read_left_out() {
    #[cfg(any(test, feature = "fault-injection"))]
    {
        let number = std::env::var("GTHREAD_TEST_WITHOUT")
            .ok()
            .and_then(|fix| fix.strip_prefix('F')?.parse::<u32>().ok());
        if let Some(number) = number {
            // ORDERING: Relaxed; before any other thread looks.
            LEFT_OUT.store(1 << number, Ordering::Relaxed);
        }
    }
}

/// Whether a test wants to see the process without this fix.
#[inline(always)]
pub(super) fn is_left_out(fix: Fix) -> bool {
    cfg!(any(test, feature = "fault-injection"))
        // ORDERING: Relaxed; written once at start.
        && LEFT_OUT.load(Ordering::Relaxed) >> fix as u32 & 1 == 1
}

/// Defines the weak symbol `$name`, which jumps to `$function`, in a module of the same name with
/// `entry`, the symbol's address as this crate knows it, and `next()`, the definition behind it.
macro_rules! interpose {
    ($name:ident as $kind:ty, in libc $own:ident, to $function:ident) => {
        #[allow(dead_code, reason = "of two names of one function, one is used for what is behind")]
        #[allow(non_snake_case, reason = "the symbol's own name")]
        pub(super) mod $name {
            use super::*;

            /// The symbol. Not under a sanitizer, where no green thread has a block: its
            /// runtime has interceptors of the same names, and calls them before it is ready.
            #[cfg(not(any(gthread_tsan, gthread_asan)))]
            #[unsafe(naked)]
            unsafe extern "C" fn label() {
                core::arch::naked_asm!(
                    concat!(".weak ", stringify!($name)),
                    concat!(".type ", stringify!($name), ", @function"),
                    concat!(stringify!($name), ":"),
                    $crate::own_tls::interposed::jump!(),
                    function = sym super::$function,
                )
            }

            #[cfg(not(target_feature = "crt-static"))]
            const NAME: &core::ffi::CStr = match core::ffi::CStr::from_bytes_with_nul(
                concat!(stringify!($name), "\0").as_bytes(),
            ) {
                Ok(name) => name,
                Err(_) => unreachable!(),
            };

            /// Whether the process calls our definition.
            pub(in super::super) fn is_bound() -> bool {
                cfg_if::cfg_if! {
                    if #[cfg(any(gthread_tsan, gthread_asan))] {
                        true
                    } else if #[cfg(target_feature = "crt-static")] {
                        unsafe extern "C" {
                            fn $name();
                        }
                        $name as *const () == label as *const ()
                    } else {
                        let label = label as *const () as usize;
                        $crate::sys::dl::symbol(NAME) == Some(label)
                    }
                }
            }

            /// libc's definition.
            #[cfg(not(target_feature = "crt-static"))]
            pub(in super::super) fn next() -> $kind {
                use $crate::primitive::atomic::{AtomicUsize, Ordering};
                static NEXT: AtomicUsize = AtomicUsize::new(0);
                // ORDERING: Relaxed; a constant, whoever stores it.
                let mut address = NEXT.load(Ordering::Relaxed);
                if address == 0 {
                    let Some(found) = $crate::sys::dl::next_symbol(NAME) else {
                        $crate::primitive::abort::rt_abort!(
                            "own_tls: libc has no {}",
                            stringify!($name)
                        );
                    };
                    address = found;
                    // ORDERING: Relaxed; as above.
                    NEXT.store(address, Ordering::Relaxed);
                }
                let address = core::ptr::with_exposed_provenance::<()>(address);
                // SAFETY: the symbol of this name has this type in libc.
                unsafe { core::mem::transmute::<*const (), $kind>(address) }
            }

            /// libc's definition.
            #[cfg(target_feature = "crt-static")]
            pub(in super::super) fn next() -> $kind {
                unsafe extern "C" {
                    fn $own();
                }
                // SAFETY: libc's own name of the function, which has this type.
                unsafe { core::mem::transmute::<*const (), $kind>($own as *const ()) }
            }
        }
    };
}
use interpose;

/// A jump to `{function}`.
#[cfg(target_arch = "x86_64")]
macro_rules! jump {
    () => {
        "jmp {function}"
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! jump {
    () => {
        "b {function}"
    };
}
use jump;

/// Finds out whether the process calls our definitions.
///
/// # Errors
/// Names the first fix whose symbol is somebody else's.
pub(super) fn check_bound() -> Result<(), Unsupported> {
    let groups = [
        (fork::are_bound(), "fork is not this crate's (fix F1): is it in a shared object?"),
        (keys::are_bound(), "pthread_key_create is not this crate's (fix F2)"),
        #[cfg(not(target_feature = "crt-static"))]
        (loader::are_bound(), "dlopen is not this crate's (fixes F3 and F8)"),
        (threads::are_bound(), "pthread_create is not this crate's (fix F5)"),
        (mask::are_bound(), "pthread_sigmask is not this crate's (fix F10)"),
    ];
    match groups.iter().find(|(is_bound, _)| !is_bound) {
        Some((_, sentence)) => Err(Unsupported::new(sentence)),
        None => Ok(()),
    }
}

/// Whether the caller is a green thread, whose libc calls are not libc's idea of a thread's.
#[inline(always)]
fn is_green() -> bool {
    tls::machine_tp() != 0
}

/// Runs a libc call on the machine's thread pointer; `errno` goes along both ways.
fn on_machine_with_errno<R>(f: impl FnOnce() -> R) -> R {
    let errno = sys::futex::errno();
    let (result, errno) = super::on_machine(|| {
        sys::futex::set_errno(errno);
        let result = f();
        (result, sys::futex::errno())
    });
    sys::futex::set_errno(errno);
    result
}
