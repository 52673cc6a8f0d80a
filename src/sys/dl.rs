//! The dynamic loader: symbols and loaded modules.

use core::ffi::{CStr, c_int, c_void};
use core::ops::Range;

/// The thread-locals of a loaded module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TlsSegment {
    /// The loader's number of the module, from 1.
    pub(crate) module_id: usize,
    /// Where the initial values lie.
    pub(crate) image: usize,
    /// How many bytes of initial values there are.
    pub(crate) image_bytes: usize,
    /// How many bytes the segment has, zeroes behind the image included.
    pub(crate) bytes: usize,
    /// The running thread's instance; 0 when it has none yet.
    pub(crate) instance: usize,
}

/// A loaded module: the program, a shared object, or the kernel's vDSO.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// The file's name as the loader knows it; empty for the program.
    pub(crate) name: String,
    /// What the addresses in the file are relative to.
    pub(crate) base: usize,
    /// The mapped segments, in the order of the file.
    pub(crate) segments: Vec<Range<usize>>,
    /// The dynamic section, empty in a static program.
    pub(crate) dynamic: Range<usize>,
    /// The thread-locals, if it has any.
    pub(crate) tls: Option<TlsSegment>,
}

impl Module {
    /// Whether `address` lies in a mapped segment.
    pub(crate) fn contains(&self, address: usize) -> bool {
        self.segments.iter().any(|segment| segment.contains(&address))
    }
}

/// The address of a symbol as the whole program sees it.
#[cfg(not(target_feature = "crt-static"))]
pub(crate) fn symbol(name: &CStr) -> Option<usize> {
    // SAFETY: `name` is a C string; looking a symbol up changes nothing but dlerror's text.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address.expose_provenance())
}

/// The address of the next definition of a symbol behind this crate's own.
#[cfg(not(target_feature = "crt-static"))]
pub(crate) fn next_symbol(name: &CStr) -> Option<usize> {
    // SAFETY: `name` is a C string; looking a symbol up changes nothing but dlerror's text.
    let address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    (!address.is_null()).then_some(address.expose_provenance())
}

/// Shows all loaded modules to `visit`, in the order they were loaded.
///
/// While it looks at them no module is unloaded: the loader holds the lock it needs for that.
/// `visit` must not call the loader.
pub(crate) fn for_each_module(visit: &mut dyn FnMut(&Module)) {
    let mut visit = visit;
    // SAFETY: `show` fits the interface and takes the closure, which lives across the call.
    unsafe { libc::dl_iterate_phdr(Some(show), (&raw mut visit).cast()) };
}

/// How many modules were ever loaded.
pub(crate) fn loads() -> u64 {
    unsafe extern "C" fn note(
        info: *mut libc::dl_phdr_info,
        _bytes: usize,
        loads: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader lends a valid description for the time of the call.
        let info = unsafe { &*info };
        // SAFETY: `loads` is the counter below, which nobody else uses meanwhile.
        unsafe { *loads.cast::<u64>() = info.dlpi_adds };
        1
    }
    let mut loads = 0_u64;
    // SAFETY: `note` fits the interface and takes the counter, which lives across the call.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut loads).cast()) };
    loads
}

/// Waits until every load and unload that is under way in another thread has ended.
pub(crate) fn wait_for_loader() {
    let mut info = core::mem::MaybeUninit::<libc::Dl_info>::uninit();
    let address = wait_for_loader as *const ();
    // Looking an address up takes the lock that is held from the start to the end of a load.
    // SAFETY: the place is writable; the address is only compared.
    unsafe { libc::dladdr(address.cast(), info.as_mut_ptr()) };
}

unsafe extern "C" fn show(
    info: *mut libc::dl_phdr_info,
    _bytes: usize,
    visit: *mut c_void,
) -> c_int {
    // SAFETY: the loader lends a valid description for the time of the call.
    let info = unsafe { &*info };
    // SAFETY: `visit` is the local of `for_each_module`, which nobody else uses meanwhile.
    let visit = unsafe { &mut *visit.cast::<&mut dyn FnMut(&Module)>() };
    let base = info.dlpi_addr as usize;
    let mut module = Module {
        name: if info.dlpi_name.is_null() {
            String::new()
        } else {
            // SAFETY: the name is a C string of the loader's, valid while the module is loaded.
            unsafe { CStr::from_ptr(info.dlpi_name) }.to_string_lossy().into_owned()
        },
        base,
        segments: Vec::new(),
        dynamic: 0..0,
        tls: None,
    };
    for index in 0..usize::from(info.dlpi_phnum) {
        // SAFETY: `dlpi_phdr` points to `dlpi_phnum` program headers.
        let header = unsafe { info.dlpi_phdr.add(index) };
        // SAFETY: as above.
        let header = unsafe { &*header };
        let start = base.wrapping_add(header.p_vaddr as usize);
        let bytes = header.p_memsz as usize;
        match header.p_type {
            libc::PT_LOAD => module.segments.push(start..start.wrapping_add(bytes)),
            libc::PT_DYNAMIC => module.dynamic = start..start.wrapping_add(bytes),
            libc::PT_TLS if info.dlpi_tls_modid != 0 => {
                module.tls = Some(TlsSegment {
                    module_id: info.dlpi_tls_modid,
                    image: start,
                    image_bytes: header.p_filesz as usize,
                    bytes,
                    instance: info.dlpi_tls_data.expose_provenance(),
                });
            }
            _ => {}
        }
    }
    visit(&module);
    0
}

/// Asks for the running thread's last loader error and drops the answer.
pub(crate) fn forget_error() {
    // SAFETY: takes nothing.
    unsafe { libc::dlerror() };
}
