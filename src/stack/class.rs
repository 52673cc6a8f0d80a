//! One pool for each stack size in use.
//!
//! A program uses a handful of sizes, so the pools are a static array that is searched. A size
//! beyond the array's length is served by the next larger one.

use super::pool::Pool;
use super::size::StackSize;
use super::slab::{Growth, Slabs};
use crate::primitive::atomic::Ordering;
use std::io;
use std::num::NonZero;

/// The most different sizes.
const CLASSES_MAX: usize = 64;

static POOLS: [Padded; CLASSES_MAX] =
    [const { Padded(Pool::new(Slabs::new(), Growth::new())) }; CLASSES_MAX];

/// A pool on cache lines of its own.
#[repr(align(128))]
struct Padded(Pool<Slabs>);

/// A stack size in use: its place among [`POOLS`], counted from one, so that an optional ticket
/// fits into two bytes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class(NonZero<u16>);

impl Class {
    /// The class at a place.
    fn at(index: usize) -> Self {
        Self(NonZero::<u16>::MIN.saturating_add(index as u16))
    }

    /// The class of a size.
    ///
    /// # Errors
    /// There are too many different sizes, and this is the largest of all.
    pub(super) fn of(size: StackSize) -> io::Result<Self> {
        let bytes = size.bytes();
        let claimed = POOLS.iter().position(|Padded(pool)| {
            let usable = &pool.source().usable;
            // ORDERING: Relaxed, both; the number is all there is, and it never changes again.
            let failed = usable.compare_exchange(0, bytes, Ordering::Relaxed, Ordering::Relaxed);
            failed.is_ok_and(|_| true) || failed == Err(bytes)
        });
        if let Some(index) = claimed {
            return Ok(Self::at(index));
        }
        let larger = Self::all().filter(|class| class.usable() >= bytes);
        larger.min_by_key(|class| class.usable()).ok_or_else(|| {
            io::Error::other(format!(
                "no green thread's stack of {bytes} bytes: {CLASSES_MAX} different sizes are in use"
            ))
        })
    }

    /// Every class in use.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let in_use = POOLS.iter().take_while(|Padded(pool)| pool.source().usable() != 0).count();
        (0..in_use).map(Self::at)
    }

    /// Its pool.
    #[inline(always)]
    pub(super) fn pool(self) -> &'static Pool<Slabs> {
        &POOLS[usize::from(self.0.get()) - 1].0
    }

    /// The usable bytes of its stacks.
    #[inline(always)]
    pub(super) fn usable(self) -> usize {
        self.pool().source().usable()
    }
}
