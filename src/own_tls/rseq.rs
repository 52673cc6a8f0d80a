//! F9: who reads the restartable-sequence area.
//!
//! Libraries with per-processor data (tcmalloc, librseq) find the area by `__rseq_offset` and
//! trust the processor number in it when it is not negative. The kernel does not know a green
//! thread's area, so the number must be negative there, but it lies in the tail of
//! `struct pthread`, on a page that a green thread otherwise never touches: marking it would cost
//! every green thread a second page. So it is marked only if somebody may read it: if a loaded
//! module other than libc and the loader names the symbol in its dynamic string table. That is
//! asked at start and after each `dlopen`; then all blocks are marked, and every new one.
//!
//! From glibc 2.41 on the area lies among the thread-locals, in the template, and is marked there
//! at no cost. A static program has no string table to look at: its blocks are always marked.
//!
//! A module that looks the symbol up by `dlsym` and links librseq statically is not seen;
//! librseq as a shared object is, by its file name.

use super::Support;
use super::interposed::{Fix, is_left_out};
use crate::sys::{self, dl::Module};

/// Whether a module that is loaded may read the area.
pub(super) fn has_readers(support: &Support) -> bool {
    let Some(rseq) = support.layout.rseq_cpu else { return false };
    if support.layout.is_in_template(rseq) || is_left_out(Fix::Rseq) {
        return false;
    }
    if cfg!(target_feature = "crt-static") {
        return true;
    }
    let own = [support.symbols.allocate_tls as usize, support.symbols.ctype_init as usize];
    let mut found = false;
    sys::dl::for_each_module(&mut |module| {
        let is_own = own.iter().any(|address| module.contains(*address));
        found |= !is_own && (module.name.contains("librseq") || names_area(module));
    });
    found
}

/// Whether the module's dynamic string table has one of the symbols of the area.
fn names_area(module: &Module) -> bool {
    let Some(table) = string_table(module) else { return false };
    table.split(|byte| *byte == 0).any(|name| name.starts_with(b"__rseq_"))
}

/// The dynamic string table of a module, by its dynamic section.
fn string_table(module: &Module) -> Option<&[u8]> {
    const DT_STRTAB: usize = 5;
    const DT_STRSZ: usize = 10;
    let entries = core::ptr::with_exposed_provenance::<[usize; 2]>(module.dynamic.start);
    let (mut start, mut bytes) = (0, 0);
    for index in 0..module.dynamic.len() / size_of::<[usize; 2]>() {
        // SAFETY: the dynamic section of a loaded module, as long as its program header says.
        let entry = unsafe { entries.add(index) };
        // SAFETY: as above.
        match unsafe { entry.read() } {
            [0, _] => break,
            [DT_STRTAB, value] => start = value,
            [DT_STRSZ, value] => bytes = value,
            _ => {}
        }
    }
    // The loader has made the address absolute, but for the kernel's own module.
    if start < module.base {
        start = start.wrapping_add(module.base);
    }
    let last = start.checked_add(bytes)?.checked_sub(1)?;
    if bytes == 0 || !module.contains(start) || !module.contains(last) {
        return None;
    }
    // SAFETY: mapped, readable and never written.
    Some(unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(start), bytes) })
}
