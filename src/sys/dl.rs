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

/// All loaded modules, in the order they were loaded.
pub(crate) fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    // SAFETY: `collect` fits the interface and takes the vector, which lives across the call.
    unsafe { libc::dl_iterate_phdr(Some(collect), (&raw mut modules).cast()) };
    modules
}

/// How many modules were ever loaded: changes with every `dlopen` that loads something.
pub(crate) fn loads() -> u64 {
    unsafe extern "C" fn note(
        info: *mut libc::dl_phdr_info,
        _bytes: usize,
        loads: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader lends a valid description for the time of the call.
        let info = unsafe { &*info };
        // SAFETY: `loads` is the u64 below, which nobody else uses meanwhile.
        unsafe { *loads.cast::<u64>() = info.dlpi_adds as u64 };
        1
    }
    let mut loads = 0_u64;
    // SAFETY: `note` fits the interface and takes the counter, which lives across the call.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut loads).cast()) };
    loads
}

unsafe extern "C" fn collect(
    info: *mut libc::dl_phdr_info,
    _bytes: usize,
    modules: *mut c_void,
) -> c_int {
    // SAFETY: the loader lends a valid description for the time of the call.
    let info = unsafe { &*info };
    // SAFETY: `modules` is the vector of `modules()`, which nobody else uses meanwhile.
    let modules = unsafe { &mut *modules.cast::<Vec<Module>>() };
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
        let header = unsafe { &*info.dlpi_phdr.add(index) };
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
    modules.push(module);
    0
}

/// The loader's own record (`struct link_map`) of the module that `address` lies in.
#[cfg(not(target_feature = "crt-static"))]
pub(crate) fn link_map(address: usize) -> Option<usize> {
    const RTLD_DL_LINKMAP: c_int = 2;
    unsafe extern "C" {
        fn dladdr1(
            address: *const c_void,
            info: *mut libc::Dl_info,
            extra: *mut *mut c_void,
            flags: c_int,
        ) -> c_int;
    }
    let mut info = core::mem::MaybeUninit::<libc::Dl_info>::uninit();
    let mut map = core::ptr::null_mut();
    // SAFETY: both places are writable; `address` is only compared, never read.
    let found = unsafe {
        dladdr1(
            core::ptr::without_provenance(address),
            info.as_mut_ptr(),
            &raw mut map,
            RTLD_DL_LINKMAP,
        )
    };
    (found != 0 && !map.is_null()).then_some(map.expose_provenance())
}
