//! How large a stack is: a checked number of whole pages.

use crate::sys::{mem, signal};

/// What a green thread gets when nobody asks for anything else: room for existing code and for
/// backtraces. It is address space; memory is what gets touched.
const DEFAULT_BYTES: usize = 256 << 10;
/// The largest stack, in bytes.
const MAX_BYTES: usize = 1 << 30;
/// What the smallest stack has beside the frame the kernel writes for a signal, in bytes.
const SPARE_BYTES: usize = 8 << 10;

/// The usable size of a stack: whole pages between a minimum that can take a signal and 1 GiB.
///
/// The guard below and the block of thread-locals above come on top of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StackSize {
    bytes: u32,
}

impl StackSize {
    /// A stack of at least `bytes`, rounded up to whole pages.
    ///
    /// # Errors
    /// `bytes` lies outside the accepted range, which the error names: at least
    /// [`StackSize::min`], at most 1 GiB.
    pub(crate) fn new(bytes: usize) -> Result<Self, InvalidStackSize> {
        let min_bytes = Self::min().bytes();
        if bytes < min_bytes || bytes > MAX_BYTES {
            return Err(InvalidStackSize { bytes, min_bytes });
        }
        Ok(Self::round_up(bytes))
    }

    /// The smallest stack: what the kernel writes to deliver a signal (`AT_MINSIGSTKSZ`, which
    /// grows with the processor's registers) and 8 KiB, rounded up to whole pages.
    pub(crate) fn min() -> Self {
        Self::round_up(signal::frame_bytes_max() + SPARE_BYTES)
    }

    /// The usable bytes.
    pub(crate) fn bytes(self) -> usize {
        self.bytes as usize
    }

    fn round_up(bytes: usize) -> Self {
        let bytes = bytes.next_multiple_of(mem::page_bytes());
        Self { bytes: u32::try_from(bytes).expect("at most 1 GiB and a page") }
    }
}

/// 256 KiB.
impl Default for StackSize {
    fn default() -> Self {
        Self::round_up(DEFAULT_BYTES)
    }
}

/// A stack size outside the accepted range; says which, and the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidStackSize {
    bytes: usize,
    min_bytes: usize,
}

impl std::fmt::Display for InvalidStackSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "invalid stack size {} bytes: accepted are {} to {MAX_BYTES} bytes",
            self.bytes, self.min_bytes
        )
    }
}

impl std::error::Error for InvalidStackSize {}
