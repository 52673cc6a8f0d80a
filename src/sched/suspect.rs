//! Is that OS thread blocked in the kernel, or does it compute?
//!
//! `/proc/self/task/TID/syscall` says `running` for a thread that runs or waits for a CPU, and
//! the system call it is in otherwise. Read from a kept descriptor it costs 0.3-0.6 us; the
//! thread's CPU clock is cheaper and cannot tell blocked from starved.
//!
//! Descriptors are kept for a few suspects only. Where there is no `/proc` nothing is ever
//! blocked, and the slice alone decides.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// The descriptors kept; the most recently asked last.
#[derive(Debug)]
pub(super) struct Suspects {
    kept: Vec<(u32, File)>,
    kept_max: usize,
}

impl Suspects {
    /// Nobody is suspected; at most `kept_max` descriptors will be kept.
    pub(super) fn new(kept_max: usize) -> Self {
        Self { kept: Vec::new(), kept_max }
    }

    /// Closes all descriptors.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }

    /// Whether thread `tid` of this process is blocked in the kernel.
    pub(super) fn is_blocked(&mut self, tid: u32) -> bool {
        let mut text = [0; 8];
        let Some(file) = self.file(tid) else { return false };
        match file.read_at(&mut text, 0) {
            Ok(length) if length > 0 => !text.starts_with(b"running"),
            _ => {
                self.kept.retain(|(other, _)| *other != tid);
                false
            }
        }
    }

    /// The descriptor for thread `tid`, opened if it is not kept.
    fn file(&mut self, tid: u32) -> Option<&File> {
        if tid == 0 {
            return None;
        }
        if let Some(at) = self.kept.iter().position(|(other, _)| *other == tid) {
            let found = self.kept.remove(at);
            self.kept.push(found);
        } else {
            let file = File::open(format!("/proc/self/task/{tid}/syscall")).ok()?;
            if self.kept.len() >= self.kept_max {
                self.kept.remove(0);
            }
            self.kept.push((tid, file));
        }
        self.kept.last().map(|(_, file)| file)
    }
}
