//! aarch64: the frame of a switch and the naked functions over `asm/aarch64/`.

use super::Context;
use crate::arch::Entry;
use crate::arch::aarch64::{FloatControl, LODGER};
use core::arch::{asm, naked_asm};
use core::mem::offset_of;

/// What a switch leaves on the stack it leaves, from the saved stack pointer upwards.
///
/// `d8` to `d15` are not in it: [`switch`] declares them lost, as `clobber_abi("C")` says, so the
/// function it is inlined into keeps them in its own frame.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Frame {
    float: FloatControl,
    /// Keeps the stack pointer a multiple of 16.
    reserved: usize,
    x19: usize,
    x20: usize,
    x21: usize,
    x22: usize,
    x23: usize,
    x24: usize,
    x25: usize,
    x26: usize,
    x27: usize,
    x28: usize,
    x29: usize,
    /// Where the context goes on: `x30`.
    return_address: usize,
}

/// The length of the `nop` that `start` begins with.
const START_SKIP: usize = 4;

// The assembly stores pairs: x19 and x20, and so on up.
const _: () = {
    assert!(size_of::<FloatControl>() == 8);
    assert!(offset_of!(Frame, float) == 0);
    assert!(offset_of!(Frame, x19) == 16);
    assert!(offset_of!(Frame, x21) == 32);
    assert!(offset_of!(Frame, x23) == 48);
    assert!(offset_of!(Frame, x25) == 64);
    assert!(offset_of!(Frame, x27) == 80);
    assert!(offset_of!(Frame, x29) == 96);
    assert!(offset_of!(Frame, return_address) == 104);
    assert!(size_of::<Frame>() == 112);
};

impl Frame {
    /// The frame of a context that has not run: it resumes in `start`.
    pub(super) fn first(entry: Entry, argument: *mut ()) -> Self {
        Self {
            float: FloatControl::INITIAL,
            reserved: 0,
            x19: argument as usize,
            x20: entry as usize,
            x21: 0,
            x22: 0,
            x23: 0,
            x24: 0,
            x25: 0,
            x26: 0,
            x27: 0,
            x28: 0,
            x29: 0,
            return_address: start as *const () as usize + START_SKIP,
        }
    }
}

/// Suspends the caller into `save`, makes `to_tp` the thread pointer and resumes `to`.
///
/// A jump to [`switch_frames`], inlined: `asm/README.md` says why it is not a call.
///
/// # Safety
/// As [`super::switch`].
#[inline(always)]
pub(super) unsafe fn switch(save: *const Context, to: *const Context, to_tp: usize) {
    // SAFETY: the caller upholds the clauses of a switch. `switch_frames` comes back to the label
    // with x19 to x29 and the stack pointer as they are here; all other registers are declared
    // lost, and memory may have changed.
    unsafe {
        asm!(
            "adr x30, 2f",
            "b {switch_frames}",
            // `bti j`: where branches are guarded, the switch may come back here.
            "2: hint #36",
            switch_frames = sym switch_frames,
            in("x0") save,
            in("x1") to,
            in("x2") to_tp,
            clobber_abi("C"),
        );
    }
}

/// The body of [`switch`]; not a function to call.
#[unsafe(naked)]
unsafe extern "C" fn switch_frames() {
    naked_asm!(
        include_str!("../../../asm/aarch64/switch.s"),
        stack_pointer = const Context::STACK_POINTER,
        frame_bytes = const size_of::<Frame>(),
        float = const offset_of!(Frame, float),
        x19 = const offset_of!(Frame, x19),
        x21 = const offset_of!(Frame, x21),
        x23 = const offset_of!(Frame, x23),
        x25 = const offset_of!(Frame, x25),
        x27 = const offset_of!(Frame, x27),
        x29 = const offset_of!(Frame, x29),
        lodger = const LODGER,
    )
}

/// Where a new context begins; not a function to call.
#[unsafe(naked)]
unsafe extern "C" fn start() -> ! {
    naked_asm!(include_str!("../../../asm/aarch64/start.s"))
}
