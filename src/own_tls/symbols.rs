//! The parts of glibc that a block is built with: found by name, never assumed.
//!
//! In a dynamic program the names are looked up by `dlsym`, so that a glibc without one of them
//! is a sentence and not a program that does not start. In a static program the linker resolves
//! them. All but `__rseq_offset` and `__res_nclose` are private to glibc (version GLIBC_PRIVATE):
//! `libthread_db` and the sanitizers keep them stable. The `_thread_db_*` words describe fields
//! of glibc's records for debuggers: three `u32`, the bits of an element, their number, the
//! offset.

use super::Unsupported;

/// What `_dl_get_tls_static_info` is.
pub(super) type StaticInfo = unsafe extern "C" fn(*mut usize, *mut usize);
/// What `_dl_allocate_tls` is: makes a vector of modules (dtv) for the block and initialises it.
pub(super) type Allocate = unsafe extern "C" fn(usize) -> usize;
/// What `_dl_deallocate_tls` is.
pub(super) type Deallocate = unsafe extern "C" fn(usize, core::ffi::c_int);
/// What `__call_tls_dtors` and `__ctype_init` are.
pub(super) type Nullary = unsafe extern "C" fn();
/// What `__res_nclose` is.
pub(super) type CloseResolver = unsafe extern "C" fn(usize);
/// What `__res_state` is.
pub(super) type ResolverState = unsafe extern "C" fn() -> usize;

/// Functions and descriptions of glibc.
#[derive(Debug)]
pub(super) struct Symbols {
    /// Size and alignment of a block.
    pub(super) static_info: StaticInfo,
    /// Builds the vector of modules and copies the initial values.
    pub(super) allocate_tls: Allocate,
    /// Frees what `allocate_tls` made and what dynamic modules added.
    pub(super) deallocate_tls: Deallocate,
    /// Runs the destructors of C++ and Rust thread-locals of the running thread.
    pub(super) call_tls_dtors: Nullary,
    /// Points the running thread's character tables at its locale.
    pub(super) ctype_init: Nullary,
    /// Closes a resolver state.
    pub(super) res_nclose: CloseResolver,
    /// The running thread's resolver state.
    pub(super) res_state: ResolverState,
    /// Bytes of `struct pthread`.
    pub(super) pthread_bytes: usize,
    /// Offset of the thread's id in it.
    pub(super) tid: usize,
    /// Offset of its links in glibc's list of threads.
    pub(super) list: usize,
    /// Offset of its array of blocks of thread-specific data.
    pub(super) specific: usize,
    /// The loader's list of modules with thread-locals; absent in a static program.
    pub(super) slots: Option<Slots>,
    /// Where the running thread keeps its last loader error; absent in a static program.
    pub(super) loader_error: Option<usize>,
    /// Where the restartable-sequence area lies, from the thread pointer; glibc 2.35 and later.
    pub(super) rseq_offset: Option<isize>,
    /// glibc's own name of `malloc`.
    pub(super) libc_malloc: Option<usize>,
    /// The program's `malloc`.
    pub(super) malloc: Option<usize>,
}

/// The address of a symbol, or the sentence that says which is missing.
#[cfg(not(target_feature = "crt-static"))]
macro_rules! address {
    ($name:ident) => {{
        const NAME: &core::ffi::CStr =
            match core::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes())
            {
                Ok(name) => name,
                Err(_) => unreachable!(),
            };
        crate::sys::dl::symbol(NAME)
            .ok_or(Unsupported::new(concat!("glibc has no symbol ", stringify!($name))))
    }};
}
#[cfg(target_feature = "crt-static")]
macro_rules! address {
    ($name:ident) => {{
        unsafe extern "C" {
            static $name: u8;
        }
        Ok::<usize, Unsupported>((&raw const $name).expose_provenance())
    }};
}

/// The address of the program's `malloc`.
#[cfg(not(target_feature = "crt-static"))]
fn program_malloc() -> Option<usize> {
    address!(malloc).ok()
}

/// The address of the program's `malloc`.
///
/// NOTE: as a function, for the crate calls it as one. Declared as data beside that, in one unit
/// of code generation, it would become `malloc.1`, which no linker finds.
#[cfg(target_feature = "crt-static")]
fn program_malloc() -> Option<usize> {
    let malloc: unsafe extern "C" fn(usize) -> *mut core::ffi::c_void = libc::malloc;
    // Opaque: the compiler takes two names for two addresses, and glibc's other name is the same.
    Some(core::hint::black_box(malloc as *const ()).expose_provenance())
}

/// A field described for debuggers: its offset.
macro_rules! field {
    ($name:ident) => {
        address!($name).map(|description| {
            let description = core::ptr::with_exposed_provenance::<u32>(description);
            // SAFETY: glibc describes each field by three `u32`, the third is the offset.
            let offset = unsafe { description.add(2) };
            // SAFETY: constant data of glibc's.
            let offset = unsafe { offset.read() };
            offset as usize
        })
    };
}

/// A record described for debuggers: its size.
macro_rules! size {
    ($name:ident) => {
        address!($name).map(|bytes| {
            let bytes = core::ptr::with_exposed_provenance::<u32>(bytes);
            // SAFETY: constant data of glibc's, a `u32`.
            let bytes = unsafe { bytes.read() };
            bytes as usize
        })
    };
}

/// A function of glibc by its name, as the given type.
macro_rules! function {
    ($name:ident as $kind:ty) => {
        address!($name).map(|address| {
            let address = core::ptr::with_exposed_provenance::<()>(address);
            // SAFETY: the symbol of this name has had this type in every glibc since 2.2, which
            // the self-test exercises.
            unsafe { core::mem::transmute::<*const (), $kind>(address) }
        })
    };
}

impl Symbols {
    /// Looks everything up.
    ///
    /// # Errors
    /// Names the first symbol that is missing.
    pub(super) fn find() -> Result<Self, Unsupported> {
        Ok(Self {
            static_info: function!(_dl_get_tls_static_info as StaticInfo)?,
            allocate_tls: function!(_dl_allocate_tls as Allocate)?,
            deallocate_tls: function!(_dl_deallocate_tls as Deallocate)?,
            call_tls_dtors: function!(__call_tls_dtors as Nullary)?,
            ctype_init: function!(__ctype_init as Nullary)?,
            res_nclose: function!(__res_nclose as CloseResolver)?,
            res_state: function!(__res_state as ResolverState)?,
            pthread_bytes: size!(_thread_db_sizeof_pthread)?,
            tid: field!(_thread_db_pthread_tid)?,
            list: field!(_thread_db_pthread_list)?,
            specific: field!(_thread_db_pthread_specific)?,
            slots: slots()?,
            loader_error: loader_error(),
            rseq_offset: rseq_offset(),
            libc_malloc: address!(__libc_malloc).ok(),
            malloc: program_malloc(),
        })
    }
}

/// The loader's list of modules with thread-locals, as glibc describes it to debuggers.
///
/// The list is made of chunks, each an array with one slot per module number. A slot has the
/// *generation* in which the module was loaded, which no other load shares, and the loader's
/// record of the module.
#[derive(Debug)]
pub(super) struct Slots {
    /// Where the address of the first chunk is kept.
    pub(super) head: usize,
    /// Offset of the number of slots in a chunk.
    pub(super) len: usize,
    /// Offset of the address of the next chunk in a chunk.
    pub(super) next: usize,
    /// Offset of the first slot in a chunk.
    pub(super) first: usize,
    /// Bytes of a slot.
    pub(super) slot_bytes: usize,
    /// Offset of the generation in a slot.
    pub(super) generation: usize,
    /// Offset of the address of the record in a slot.
    pub(super) record: usize,
    /// Offset of the place of the module's static thread-locals in the record.
    pub(super) tls_offset: usize,
}

/// Finds the loader's list.
fn slots() -> Result<Option<Slots>, Unsupported> {
    cfg_if::cfg_if! {
        if #[cfg(target_feature = "crt-static")] {
            Ok(None)
        } else {
            Ok(Some(Slots {
                head: address!(_rtld_global)?
                    + field!(_thread_db_rtld_global__dl_tls_dtv_slotinfo_list)?,
                len: field!(_thread_db_dtv_slotinfo_list_len)?,
                next: field!(_thread_db_dtv_slotinfo_list_next)?,
                first: field!(_thread_db_dtv_slotinfo_list_slotinfo)?,
                slot_bytes: size!(_thread_db_sizeof_dtv_slotinfo)?,
                generation: field!(_thread_db_dtv_slotinfo_gen)?,
                record: field!(_thread_db_dtv_slotinfo_map)?,
                tls_offset: field!(_thread_db_link_map_l_tls_offset)?,
            }))
        }
    }
}

/// The running thread's `__libc_dlerror_result`.
fn loader_error() -> Option<usize> {
    cfg_if::cfg_if! {
        if #[cfg(target_feature = "crt-static")] {
            None
        } else {
            address!(__libc_dlerror_result).ok()
        }
    }
}

/// Where glibc 2.35 and later keep the restartable-sequence area.
fn rseq_offset() -> Option<isize> {
    let offset = address!(__rseq_offset).ok()?;
    let offset = core::ptr::with_exposed_provenance::<isize>(offset);
    // SAFETY: glibc documents the symbol as a constant `ptrdiff_t`.
    Some(unsafe { offset.read() })
}
