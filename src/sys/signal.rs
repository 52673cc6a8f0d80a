//! Signals: actions, the alternate stack of an OS thread, and what a handler may ask.

use super::fault::{self, Call};
use super::futex::{errno, set_errno};
use std::io;
use std::mem::MaybeUninit;

/// An access to memory that is not there, or not allowed.
pub(crate) const SEGV: i32 = libc::SIGSEGV;
/// An access to memory that cannot be provided.
pub(crate) const BUS: i32 = libc::SIGBUS;

/// What the kernel tells a handler.
pub(crate) type Info = libc::siginfo_t;

/// A three-argument handler.
pub(crate) type Handler =
    unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// `AT_MINSIGSTKSZ`: what the kernel writes on a stack to deliver a signal, in bytes. Newer than
/// the constant in libc, which is too small for AVX-512.
pub(crate) fn frame_bytes_max() -> usize {
    const AT_MINSIGSTKSZ: libc::c_ulong = 51;
    // SAFETY: getauxval reads a table the kernel put there before `main`; 0 is "unknown".
    let bytes = unsafe { libc::getauxval(AT_MINSIGSTKSZ) } as usize;
    bytes.max(libc::MINSIGSTKSZ)
}

/// What the process does on a signal.
#[derive(Clone, Copy)]
pub(crate) struct Action(libc::sigaction);

/// How an action is to be carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disposition {
    /// `SIG_DFL`.
    Default,
    /// `SIG_IGN`.
    Ignore,
    /// A handler that takes the number of the signal.
    Plain(unsafe extern "C" fn(libc::c_int)),
    /// A handler with `SA_SIGINFO`.
    WithInfo(Handler),
}

impl Action {
    /// The default action.
    pub(crate) fn default() -> Self {
        // SAFETY: all-zero is a valid `sigaction`: SIG_DFL, no flags, an empty mask.
        Self(unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() })
    }

    /// A handler that gets a `siginfo` and runs on the alternate stack.
    pub(crate) fn on_alternate_stack(handler: Handler) -> Self {
        let mut action = Self::default();
        action.0.sa_sigaction = handler as *const () as usize;
        action.0.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        action
    }

    /// What kind of action it is.
    pub(crate) fn disposition(&self) -> Disposition {
        match self.0.sa_sigaction {
            libc::SIG_DFL => Disposition::Default,
            libc::SIG_IGN => Disposition::Ignore,
            handler if self.0.sa_flags & libc::SA_SIGINFO != 0 => {
                // SAFETY: with SA_SIGINFO the word is a pointer to such a function.
                Disposition::WithInfo(unsafe { std::mem::transmute::<usize, Handler>(handler) })
            }
            handler => {
                // SAFETY: without SA_SIGINFO the word is a pointer to such a function.
                Disposition::Plain(unsafe {
                    std::mem::transmute::<usize, unsafe extern "C" fn(libc::c_int)>(handler)
                })
            }
        }
    }

    /// Whether it becomes the default action when it is carried out (`SA_RESETHAND`).
    pub(crate) fn is_one_shot(&self) -> bool {
        self.0.sa_flags & libc::SA_RESETHAND != 0
    }

    /// Changes the calling thread's mask from what it is in a handler of ours (whose own mask is
    /// empty, so that only `signal` was added) to what it is in a handler of this action.
    pub(crate) fn enter_mask(&self, signal: libc::c_int) {
        let saved = errno();
        let mask = (&raw const self.0.sa_mask).cast();
        // SAFETY: the kernel's mask is the beginning of libc's; the old one is not asked for.
        unsafe { change_mask(libc::SIG_BLOCK, mask, std::ptr::null_mut()) };
        if self.0.sa_flags & libc::SA_NODEFER != 0 {
            let mut only = Self::default().0.sa_mask;
            // SAFETY: `only` is a valid, empty set.
            unsafe { libc::sigaddset(&raw mut only, signal) };
            let only = (&raw const only).cast();
            // SAFETY: as above.
            unsafe { change_mask(libc::SIG_UNBLOCK, only, std::ptr::null_mut()) };
        }
        set_errno(saved);
    }
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Action").field(&self.disposition()).finish()
    }
}

/// The present action of a signal.
pub(crate) fn action(signal: libc::c_int) -> io::Result<Action> {
    let mut present = Action::default();
    // SAFETY: `present` is a valid place; a null new action changes nothing.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut present.0) };
    if result == 0 { Ok(present) } else { Err(io::Error::last_os_error()) }
}

/// Sets the action of a signal for the whole process; usable in a handler.
///
/// # Safety
/// The handler, if it is one, is a function for this kind of action that keeps to what is allowed
/// in a signal handler.
pub(crate) unsafe fn set_action(signal: libc::c_int, action: &Action) -> io::Result<()> {
    fault::check(Call::SignalAction)?;
    // SAFETY: `action` is a valid action whose handler the caller answers for.
    let result = unsafe { libc::sigaction(signal, &raw const action.0, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends a signal to the calling thread; usable in a handler, where it waits for the return.
pub(crate) fn raise_again(signal: libc::c_int) {
    // SAFETY: gettid takes nothing. `raise` would do, but reads the thread's number from
    // thread-locals, and a green thread's is made up.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    let process = std::process::id();
    // SAFETY: tgkill takes numbers only.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) };
}

/// Which signals an OS thread does not take for now, a bit each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mask(u64);

impl Mask {
    /// The calling OS thread's.
    pub(crate) fn current() -> Self {
        let mut present = Self(0);
        // SAFETY: no new mask; `present` is a place for the kernel's mask.
        unsafe { change_mask(libc::SIG_BLOCK, std::ptr::null(), &raw mut present) };
        present
    }

    /// Makes it the calling OS thread's.
    pub(crate) fn set(&self) {
        // SAFETY: a valid mask; the old one is not asked for. It cannot fail.
        unsafe { change_mask(libc::SIG_SETMASK, self, std::ptr::null_mut()) };
    }
}

/// The kernel's own call: libc's is interposed (`own_tls::interposed`), for others than this crate.
///
/// # Safety
/// `new` and `old` are null, or point to masks of the kernel's, of 64 bits.
unsafe fn change_mask(how: libc::c_int, new: *const Mask, old: *mut Mask) {
    // SAFETY: the caller's clause.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, new, old, size_of::<Mask>()) };
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask")
    }
}

/// What a handler was told about a signal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The address whose access faulted; 0 if there is none.
    pub(crate) address: usize,
    /// Whether the kernel raised it for an instruction of this thread, which returning from the
    /// handler executes again; `false` for `kill` and its kin.
    pub(crate) is_fault: bool,
}

/// Reads a handler's `siginfo`.
///
/// # Safety
/// `info` is the second argument of a handler of SIGSEGV or SIGBUS that is running.
pub(crate) unsafe fn origin(info: *const libc::siginfo_t) -> Origin {
    // SAFETY: the caller's clause: `info` is valid, and the kernel does not change it.
    let info = unsafe { &*info };
    let is_fault = info.si_code > 0;
    // SI_KERNEL is an address the processor could not even form; it is not told.
    let has_address = is_fault && info.si_code != libc::SI_KERNEL;
    // SAFETY: these two signals carry an address when the kernel raised them for a fault.
    let address = if has_address { unsafe { info.si_addr() as usize } } else { 0 };
    Origin { address, is_fault }
}

/// The alternate signal stack of an OS thread, as the kernel knows it.
#[derive(Clone, Copy)]
pub(crate) struct SignalStack(libc::stack_t);

impl SignalStack {
    /// A stack of `bytes` from `start` upwards.
    pub(crate) fn new(start: *mut u8, bytes: usize) -> Self {
        Self(libc::stack_t { ss_sp: start.cast(), ss_flags: 0, ss_size: bytes })
    }

    /// Where it starts; null if the thread has none.
    pub(crate) fn start(&self) -> *mut u8 {
        if self.0.ss_flags & libc::SS_DISABLE != 0 {
            std::ptr::null_mut()
        } else {
            self.0.ss_sp.cast()
        }
    }

    /// The calling thread's.
    pub(crate) fn current() -> io::Result<Self> {
        let mut present = Self::new(std::ptr::null_mut(), 0);
        // SAFETY: `present` is a valid place; a null new stack changes nothing.
        let result = unsafe { libc::sigaltstack(std::ptr::null(), &raw mut present.0) };
        if result == 0 { Ok(present) } else { Err(io::Error::last_os_error()) }
    }

    /// Makes it the calling thread's.
    ///
    /// # Safety
    /// The memory stays valid and unused by others until the thread ends or sets another one.
    pub(crate) unsafe fn set(&self) -> io::Result<()> {
        fault::check(Call::SignalStack)?;
        let mut wanted = self.0;
        // The kernel refuses its own report flags; only "none" is meant to come back.
        wanted.ss_flags &= libc::SS_DISABLE;
        // SAFETY: the caller's clause.
        let result = unsafe { libc::sigaltstack(&raw const wanted, std::ptr::null_mut()) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl std::fmt::Debug for SignalStack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignalStack")
            .field("start", &self.start())
            .field("bytes", &self.0.ss_size)
            .finish()
    }
}
