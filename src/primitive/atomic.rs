//! The façade over atomics: `std`'s, or loom's when a model is checked.
//!
//! Everything in the crate imports atomics, cells and fences from [`crate::primitive`], so that
//! each lock-free protocol can be compiled against loom without a change. [`ord!`] and
//! [`mutant!`] are the seams of the mutation runs: in a normal build they are the identity; under
//! `cfg(loom)` the environment variable `GTHREAD_MUTANT` names one site whose ordering is
//! weakened, or whose step is left out, and the model of that protocol has to fail.

#[cfg(loom)]
#[allow(unused_imports, reason = "models compile a part of the crate")]
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
#[cfg(not(loom))]
#[allow(unused_imports, reason = "`fence`: x86-64 has a cheaper one")]
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

/// The ordering of a named site: `$ord` in every build but a mutation run.
///
/// `ord!("park.commit", AcqRel)` is `Ordering::AcqRel`. Under loom with
/// `GTHREAD_MUTANT=park.commit` it is `Ordering::Relaxed`; `ord!(site, AcqRel => Acquire)` names a
/// weaker ordering of its own for the mutant.
macro_rules! ord {
    ($site:literal, $ord:ident) => {
        ord!($site, $ord => Relaxed)
    };
    ($site:literal, $ord:ident => $weak:ident) => {{
        #[cfg(loom)]
        let ordering = if $crate::primitive::atomic::is_mutant($site) {
            $crate::primitive::atomic::Ordering::$weak
        } else {
            $crate::primitive::atomic::Ordering::$ord
        };
        #[cfg(not(loom))]
        let ordering = $crate::primitive::atomic::Ordering::$ord;
        ordering
    }};
}

/// `true` only under loom with `GTHREAD_MUTANT` set to this site: leave the step out.
macro_rules! mutant {
    ($site:literal) => {{
        #[cfg(loom)]
        let hit = $crate::primitive::atomic::is_mutant($site);
        #[cfg(not(loom))]
        let hit = false;
        hit
    }};
}

pub(crate) use {mutant, ord};

/// Whether the mutation run has chosen `site`.
#[cfg(loom)]
pub(crate) fn is_mutant(site: &str) -> bool {
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("GTHREAD_MUTANT").ok()).as_deref() == Some(site)
}
