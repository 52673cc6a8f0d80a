//! Modules whose thread-locals lie at a fixed distance from every thread pointer.
//!
//! The program and everything it is linked with are such modules; a module that is loaded later
//! is one if it (or one that is loaded with it) asks for it by initial-exec relocations, and the
//! surplus has room. Which they are is read from the loader's record of the module, where glibc's
//! description for debuggers says the place is. Asking `__tls_get_addr` instead would settle a
//! module that is still undecided: it could never become static afterwards.

use super::layout::{ORIENTATION, Orientation};
use super::symbols::Symbols;
use crate::{arch, sys};

/// The thread-locals of one module, the same in every block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StaticModule {
    /// The loader's number.
    pub(super) module_id: usize,
    /// Distance from the thread pointer.
    pub(super) offset: isize,
    /// Where the initial values lie.
    pub(super) image: usize,
    /// Bytes of initial values; the rest is zero.
    pub(super) image_bytes: usize,
    /// Bytes of the segment.
    pub(super) bytes: usize,
}

/// All modules with thread-locals: the static ones, and whether there are others.
#[derive(Debug, Default)]
pub(super) struct Modules {
    /// At a fixed distance from the thread pointer.
    pub(super) fixed: Vec<StaticModule>,
    /// Modules whose thread-locals are allocated when first used.
    pub(super) dynamic: usize,
}

impl Modules {
    /// Looks at everything that is loaded.
    pub(super) fn loaded(symbols: &Symbols) -> Self {
        let mut modules = Self::default();
        for module in sys::dl::modules() {
            let Some(tls) = module.tls else { continue };
            match fixed_offset(symbols, &module) {
                Some(offset) => modules.fixed.push(StaticModule {
                    module_id: tls.module_id,
                    offset,
                    image: tls.image,
                    image_bytes: tls.image_bytes,
                    bytes: tls.bytes,
                }),
                None => modules.dynamic += 1,
            }
        }
        modules
    }
}

/// The distance from the thread pointer to a module's thread-locals, if it is fixed.
fn fixed_offset(symbols: &Symbols, module: &sys::dl::Module) -> Option<isize> {
    match (link_map(module), symbols.link_map_tls_offset) {
        (Some(map), Some(field)) => {
            let mut offset = [0];
            if !sys::heap::peek(map + field, &mut offset) {
                return None;
            }
            let offset = offset[0] as isize;
            match ORIENTATION {
                // 0 means none yet, -1 never.
                Orientation::LocalsBelow => (offset > 0).then_some(-offset),
                // -1 means none yet, -2 never.
                Orientation::LocalsAbove => (offset >= 0).then_some(offset),
            }
        }
        // A static program: its one module has an instance in every block.
        _ => {
            let instance = module.tls?.instance;
            (instance != 0).then(|| instance.wrapping_sub(arch::thread_pointer()) as isize)
        }
    }
}

/// The loader's record of a module; a static program has none.
fn link_map(module: &sys::dl::Module) -> Option<usize> {
    cfg_if::cfg_if! {
        if #[cfg(target_feature = "crt-static")] {
            let _ = module;
            None
        } else {
            sys::dl::link_map(module.segments.first()?.start)
        }
    }
}
