//! What the kernel and libc know about the running OS thread.

use core::ffi::{c_int, c_void};

/// Where the kernel will clear the thread's id when the thread ends: the id's own place in libc's
/// record of the thread. `None` where the kernel was built without the question.
pub(crate) fn id_address() -> Option<usize> {
    const PR_GET_TID_ADDRESS: c_int = 40;
    let mut address = 0_usize;
    // SAFETY: the kernel writes one word to `address`.
    let result =
        unsafe { libc::prctl(PR_GET_TID_ADDRESS, &raw mut address, 0_usize, 0_usize, 0_usize) };
    (result == 0 && address != 0).then_some(address)
}

/// The kernel's id of the running thread.
pub(crate) fn id() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    let id = unsafe { libc::syscall(libc::SYS_gettid) };
    id as u32
}

/// The head of the running thread's list of robust futexes, which lies in libc's record of it.
pub(crate) fn robust_list_head() -> Option<usize> {
    let mut head = 0_usize;
    let mut bytes = 0_usize;
    // SAFETY: the kernel writes one word to each place.
    let result =
        unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut bytes) };
    (result == 0 && head != 0).then_some(head)
}

/// An OS thread that was started here and has not been joined; dropped, it is detached.
#[derive(Debug)]
pub(crate) struct Joinable(libc::pthread_t);

impl From<std::thread::JoinHandle<()>> for Joinable {
    fn from(thread: std::thread::JoinHandle<()>) -> Self {
        Self(std::os::unix::thread::JoinHandleExt::into_pthread_t(thread))
    }
}

impl Joinable {
    /// Joins the thread if it has ended.
    ///
    /// # Errors
    /// The value comes back when the thread has not ended.
    pub(crate) fn try_join(self) -> Result<(), Self> {
        // SAFETY: a thread that was neither joined nor detached; what it returns is not asked for.
        let result = unsafe { libc::pthread_tryjoin_np(self.0, core::ptr::null_mut()) };
        if result == 0 {
            core::mem::forget(self);
            return Ok(());
        }
        Err(self)
    }

    /// Whether it is the running thread.
    pub(crate) fn is_caller(&self) -> bool {
        self.0 as usize == handle()
    }
}

impl Drop for Joinable {
    fn drop(&mut self) {
        // SAFETY: a thread that was neither joined nor detached.
        unsafe { libc::pthread_detach(self.0) };
    }
}

/// Bytes of a page.
pub(crate) fn page_bytes() -> usize {
    // SAFETY: takes a constant.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

/// libc's handle of the running thread.
pub(crate) fn handle() -> usize {
    // SAFETY: takes nothing and cannot fail.
    let handle = unsafe { libc::pthread_self() };
    handle as usize
}

/// Makes `f` a destructor of the running thread, as a C++ or Rust thread-local does.
pub(crate) fn call_at_exit(f: unsafe extern "C" fn(*mut ())) {
    unsafe extern "C" {
        static __dso_handle: u8;
        fn __cxa_thread_atexit_impl(
            f: unsafe extern "C" fn(*mut ()),
            argument: *mut (),
            module: *const u8,
        ) -> c_int;
    }
    // SAFETY: `f` takes any argument; the handle is this module's own.
    unsafe { __cxa_thread_atexit_impl(f, core::ptr::null_mut(), &raw const __dso_handle) };
}

/// Locks a new error-checking mutex twice and tells whom libc takes for its owner; `None` when
/// the second time is not refused.
pub(crate) fn owner_of_new_mutex() -> Option<u32> {
    let mut attributes = core::mem::MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
    let attributes = attributes.as_mut_ptr();
    let mut mutex = libc::PTHREAD_MUTEX_INITIALIZER;
    let mutex = &raw mut mutex;
    // SAFETY: a place for attributes.
    unsafe { libc::pthread_mutexattr_init(attributes) };
    // SAFETY: initialised above.
    unsafe { libc::pthread_mutexattr_settype(attributes, libc::PTHREAD_MUTEX_ERRORCHECK) };
    // SAFETY: both are initialised.
    unsafe { libc::pthread_mutex_init(mutex, attributes) };
    // SAFETY: initialised above.
    let first = unsafe { libc::pthread_mutex_lock(mutex) };
    // SAFETY: as above; an error-checking mutex refuses its owner.
    let second = unsafe { libc::pthread_mutex_lock(mutex) };
    // SAFETY: the owner's id is the third `int` of glibc's mutex.
    let owner = unsafe { mutex.cast::<u32>().add(2) };
    // SAFETY: as above.
    let owner = unsafe { owner.read() };
    // SAFETY: locked above.
    unsafe { libc::pthread_mutex_unlock(mutex) };
    (first == 0 && second == libc::EDEADLK).then_some(owner)
}

/// Where the running thread's `errno` lies.
pub(crate) fn errno_address() -> usize {
    // SAFETY: takes nothing and cannot fail.
    let address = unsafe { libc::__errno_location() };
    address.expose_provenance()
}

/// What libc returns for a thread it does not know.
pub(crate) const NO_SUCH_THREAD: c_int = libc::ESRCH;

/// Takes the running thread's value of a thread-specific key, leaving null.
pub(crate) fn take_specific(key: u32) -> *mut c_void {
    // SAFETY: libc checks the key.
    let value = unsafe { libc::pthread_getspecific(key) };
    if !value.is_null() {
        // SAFETY: as above.
        unsafe { libc::pthread_setspecific(key, core::ptr::null()) };
    }
    value
}

/// Initialises thread attributes that describe a stack; libc's error number.
///
/// # Safety
/// `attributes` is a place for a `pthread_attr_t`.
pub(crate) unsafe fn stack_attributes(
    attributes: *mut c_void,
    bottom: *mut u8,
    bytes: usize,
) -> c_int {
    let attributes = attributes.cast::<libc::pthread_attr_t>();
    // SAFETY: the caller's place.
    let result = unsafe { libc::pthread_attr_init(attributes) };
    if result != 0 {
        return result;
    }
    // SAFETY: initialised above; the stack is only described.
    unsafe { libc::pthread_attr_setstack(attributes, bottom.cast(), bytes) }
}

/// The lowest address of the running thread's stack, and its size.
#[cfg(gthread_asan)]
pub(crate) fn stack() -> (*const u8, usize) {
    let mut attributes = core::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    let attributes = attributes.as_mut_ptr();
    let mut bottom = core::ptr::null_mut();
    let mut bytes = 0;
    // SAFETY: takes nothing and cannot fail.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: a place for attributes, which the call initialises.
    unsafe { libc::pthread_getattr_np(this, attributes) };
    // SAFETY: initialised above; two places for the answer.
    unsafe { libc::pthread_attr_getstack(attributes, &raw mut bottom, &raw mut bytes) };
    // SAFETY: initialised above.
    unsafe { libc::pthread_attr_destroy(attributes) };
    (bottom.cast_const().cast(), bytes)
}

/// Puts the process's locale in force for the running thread.
pub(crate) fn use_global_locale() {
    const LC_GLOBAL_LOCALE: libc::locale_t = core::ptr::without_provenance_mut(usize::MAX);
    // SAFETY: the constant of POSIX.
    unsafe { libc::uselocale(LC_GLOBAL_LOCALE) };
}
