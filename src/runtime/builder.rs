//! Describing and starting a runtime.

use super::error::{BuildError, BuildErrorKind};
use super::{Runtime, available_parallelism};
use crate::own_tls;
use crate::primitive::fence;
use crate::sched::{Carriage, Shared};
use crate::stack::{self, StackSize};
use std::sync::Arc;

/// The most processors one runtime can have.
pub(crate) const PROCESSORS_MAX: usize = 1024;

/// The environment variable that sets the number of processors.
const MAXPROCS: &str = "GTHREAD_MAXPROCS";

/// Describes a [`Runtime`].
///
/// # Examples
/// ```
/// let runtime = gthread::Runtime::builder().processors(1).stack_size(64 * 1024).build()?;
/// runtime.run(|| gthread::yield_now());
/// # Ok::<(), gthread::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RuntimeBuilder {
    processors: Option<usize>,
    stack_size: Option<usize>,
    os_threads: bool,
}

impl RuntimeBuilder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// How many green threads run at a time, at most: 1 to 1024.
    ///
    /// The default is `GTHREAD_MAXPROCS`, else [`available_parallelism`].
    pub fn processors(mut self, processors: usize) -> Self {
        self.processors = Some(processors);
        self
    }

    /// The usable stack of a green thread in bytes, rounded up to whole pages; a guard and the
    /// block of thread-locals come on top.
    ///
    /// The default is 256 KiB of address space. What is not touched costs nothing. The smallest
    /// is what the kernel needs to deliver a signal and 8 KiB, the largest 1 GiB.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Makes each green thread an OS thread: the same API where green threads cannot have
    /// thread-locals of their own ([`BuildErrorKind::Unsupported`]).
    pub fn os_threads(mut self, os_threads: bool) -> Self {
        self.os_threads = os_threads;
        self
    }

    /// Starts the runtime: its monitor and its first machine now, further machines as they are
    /// needed. Where the system has no more threads it goes on with the machines it has.
    ///
    /// # Errors
    /// A value that is out of range, an environment variable with a value that is not accepted,
    /// a process in which green threads would be unsound, or a system without two threads for it.
    pub fn build(self) -> Result<Runtime, BuildError> {
        let processors = self.checked_processors()?;
        let stack_size = self.checked_stack_size()?;
        // Here too: `Shared::close` has a heavy side, and its light side is on the OS threads.
        fence::choose();
        if self.os_threads {
            let shared = Shared::new(processors, stack_size, Carriage::OsThreads, 0);
            let shared = shared.map_err(|error| BuildError::of_system("its state", error))?;
            let runtime = Runtime { shared, monitor: None };
            crate::sched::register(&runtime.shared);
            return Ok(runtime);
        }
        if crate::sched::fork::in_child() {
            return Err(BuildError::new(
                BuildErrorKind::Unsupported,
                "this process was forked off one with green threads, and can have none itself",
            ));
        }
        if crate::alloc::is_in_use() {
            // The allocator's cache belongs to the machine.
            own_tls::lend_also(crate::alloc::cache_word_offset());
        }
        let support = own_tls::support()
            .map_err(|error| BuildError::new(BuildErrorKind::Unsupported, error.to_string()))?;
        stack::set_block_bytes(support.block_bytes());
        own_tls::on_stack_asked(crate::sched::current_stack);
        own_tls::on_mask_changed(crate::sched::mask_changed);
        crate::sched::fork::prepare();
        stack::overflow::install()
            .map_err(|error| BuildError::of_system("the report of stack overflows", error))?;
        stack::overflow::set_namer(crate::inspect::name_for_overflow);
        let shared =
            Shared::new(processors, stack_size, Carriage::Machines, support.local_offset())
                .map_err(|error| BuildError::of_system("its state", error))?;
        start(shared)
    }

    fn checked_processors(&self) -> Result<u32, BuildError> {
        match self.processors {
            Some(processors) if (1..=PROCESSORS_MAX).contains(&processors) => Ok(processors as u32),
            Some(processors) => Err(BuildError::new(
                BuildErrorKind::Processors,
                format!(
                    "invalid number of processors {processors}: accepted are 1 to {PROCESSORS_MAX}"
                ),
            )),
            None => processors_from_environment(),
        }
    }

    fn checked_stack_size(&self) -> Result<StackSize, BuildError> {
        match self.stack_size {
            None => Ok(StackSize::default()),
            Some(bytes) => StackSize::new(bytes)
                .map_err(|error| BuildError::new(BuildErrorKind::StackSize, error.to_string())),
        }
    }
}

/// What `GTHREAD_MAXPROCS` says, or how much parallelism there is.
fn processors_from_environment() -> Result<u32, BuildError> {
    let Some(value) = std::env::var_os(MAXPROCS) else {
        let available = available_parallelism().map_or(1, std::num::NonZero::get);
        return Ok(available.min(PROCESSORS_MAX) as u32);
    };
    let number = value.to_str().and_then(|text| text.trim().parse::<usize>().ok());
    match number {
        Some(number) if (1..=PROCESSORS_MAX).contains(&number) => Ok(number as u32),
        _ => Err(BuildError::new(
            BuildErrorKind::Environment,
            format!(
                "invalid environment variable {MAXPROCS}={}: accepted are whole numbers from 1 to \
                 {PROCESSORS_MAX}",
                value.to_string_lossy()
            ),
        )),
    }
}

/// Starts the first machine, which stays, and the monitor.
fn start(shared: Arc<Shared>) -> Result<Runtime, BuildError> {
    shared
        .start_first()
        .map_err(|error| BuildError::of_system("an OS thread for its first machine", error))?;
    // From here on it is shut down if it fails.
    let mut runtime = Runtime { shared, monitor: None };
    crate::sched::register(&runtime.shared);
    let watched = runtime.shared.clone();
    let monitor = own_tls::on_machine(|| {
        crate::sys::schedule::spawn("gthread-monitor".into(), move || {
            crate::sched::cast::main(&watched);
        })
    });
    let monitor =
        monitor.map_err(|error| BuildError::of_system("an OS thread for its monitor", error))?;
    runtime.monitor = Some(monitor);
    Ok(runtime)
}
