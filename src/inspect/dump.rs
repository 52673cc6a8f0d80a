//! The dump: every green thread, every processor, every machine.

use super::Survivor;
use crate::green::{Green, Kind, Phase, ThreadId, arena};
use crate::machine::Machine;
use crate::sched::{self, Carriage, Shared};
use crate::sys::clock::now_ns;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A glance at all runtimes; its `Display` prints a table.
#[derive(Clone, Debug)]
pub struct Dump {
    /// Every green thread that has not finished.
    pub green_threads: Vec<GreenInfo>,
    /// Every processor; a runtime of OS threads uses none.
    pub processors: Vec<ProcessorInfo>,
    /// Every machine that has a thread.
    pub machines: Vec<MachineInfo>,
}

/// What a green thread was doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GreenInfo {
    /// Its number.
    pub id: ThreadId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// "fresh", "runnable", "running", "exiting", or "waiting: " and what for.
    pub state: String,
    /// How long it has been waiting, to within some turns of its processor; `None` if it is not
    /// waiting, or the time is not known.
    pub waiting_for: Option<Duration>,
    /// Where it was spawned.
    pub spawned_at: String,
}

/// What a processor was doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessorInfo {
    /// Its number within its runtime.
    pub index: usize,
    /// Whether no machine held it.
    pub idle: bool,
    /// How many green threads waited in its queue.
    pub queued: usize,
    /// How many timers it kept.
    pub timers: usize,
    /// How many turns it has given.
    pub turns: u32,
}

/// What a machine was doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MachineInfo {
    /// Its number within its runtime.
    pub index: usize,
    /// The kernel's number of its thread.
    pub thread_id: u32,
    /// The green thread it carried, if any.
    pub carries: Option<ThreadId>,
    /// Whether it was in the runtime, and not in user code.
    pub in_runtime: bool,
}

/// Looks at every green thread, processor and machine of all runtimes.
///
/// Costs some 100 ns for each green thread there has ever been at once. Never blocks the
/// scheduler; safe to call while everything hangs.
///
/// # Examples
/// ```
/// gthread::run(|| {
///     let parked = gthread::Builder::new().name("sleeper".into()).spawn(gthread::park).unwrap();
///     gthread::yield_now();
///     assert!(gthread::inspect::dump().to_string().contains("sleeper"));
///     parked.thread().unpark();
///     parked.join().unwrap();
/// });
/// ```
pub fn dump() -> Dump {
    let mut dump = Dump { green_threads: Vec::new(), processors: Vec::new(), machines: Vec::new() };
    let now_ns = now_ns();
    arena::for_each(|green| {
        if let Some(info) = look(green, now_ns, None) {
            dump.green_threads.push(info);
        }
    });
    for shared in sched::runtimes() {
        look_at_runtime(&shared, &mut dump);
    }
    dump
}

fn look_at_runtime(shared: &Shared, dump: &mut Dump) {
    if shared.carriage == Carriage::OsThreads {
        // Its green threads need neither processors nor machines.
        return;
    }
    for processor in &shared.processors {
        dump.processors.push(ProcessorInfo {
            index: processor.index as usize,
            idle: shared.idle.is_idle(processor.index),
            queued: processor.thief.queued()
                + processor.thief.kept()
                + usize::from(processor.thief.has_next()),
            timers: processor.timers.len(),
            turns: processor.tick(),
        });
    }
    shared.spares.for_each(|machine: &Machine| {
        if machine.tid() == 0 {
            return;
        }
        // SAFETY: null or a header, which is type-stable.
        let current = unsafe { machine.current().as_ref() };
        dump.machines.push(MachineInfo {
            index: machine.index as usize,
            thread_id: machine.tid(),
            carries: current.and_then(number),
            in_runtime: machine.bias.is_in_runtime(),
        });
    });
}

/// The number of a header that may be free, or somebody else's by now.
fn number(green: &Green) -> Option<ThreadId> {
    if !green.join.try_retain() {
        return None;
    }
    let number = ThreadId::new(green.number());
    release(green);
    Some(number)
}

/// Gives a reference up that `try_retain` made.
fn release(green: &Green) {
    if green.join.release() {
        sched::free_header(std::ptr::NonNull::from(green));
    }
}

/// What a live green thread is doing; `None` for free headers, OS threads and other runtimes.
fn look(green: &Green, now_ns: u64, of: Option<*const ()>) -> Option<GreenInfo> {
    if !green.join.try_retain() {
        return None;
    }
    let info = look_at_retained(green, now_ns, of);
    release(green);
    info
}

/// The reference that the caller holds keeps the header in one life.
fn look_at_retained(green: &Green, now_ns: u64, of: Option<*const ()>) -> Option<GreenInfo> {
    let runtime = green.runtime.get();
    let is_wanted = of.map_or(!runtime.is_null(), |of| std::ptr::eq(of, runtime));
    if !is_wanted || green.join.is_finished() {
        return None;
    }
    let phase = green.phase();
    let state = match phase {
        Phase::Free => return None,
        Phase::Fresh => "fresh".into(),
        Phase::Runnable => "runnable".into(),
        Phase::Running => "running".into(),
        Phase::Exiting => "exiting".into(),
        Phase::Waiting => format!("waiting: {}", green.reason().words()),
    };
    let since_ns = green.since_ns();
    let waiting_for = (phase == Phase::Waiting && since_ns != 0)
        .then(|| Duration::from_nanos(now_ns.saturating_sub(since_ns)));
    let stand_in = if green.kind.get() == Kind::Thread { " (OS thread)" } else { "" };
    Some(GreenInfo {
        id: ThreadId::new(green.number()),
        name: green.name().map(String::from),
        state: state + stand_in,
        waiting_for,
        spawned_at: green.location.get().map(ToString::to_string).unwrap_or_default(),
    })
}

/// The green threads of one runtime that have not finished.
pub(crate) fn survivors(shared: &Arc<Shared>) -> Vec<Survivor> {
    let mut survivors = Vec::new();
    let now_ns = now_ns();
    let runtime: *const () = Arc::as_ptr(shared).cast();
    arena::for_each(|green| {
        if let Some(info) = look(green, now_ns, Some(runtime)) {
            let state = match info.waiting_for {
                Some(duration) => format!("{} for {duration:.1?}", info.state),
                None => info.state,
            };
            survivors.push(Survivor::new(info.name, info.id, state));
        }
    });
    survivors
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} green threads", self.green_threads.len())?;
        for green in &self.green_threads {
            let name = green.name.as_deref().unwrap_or("<unnamed>");
            write!(f, "  {} '{name}' {}", green.id, green.state)?;
            if let Some(duration) = green.waiting_for {
                write!(f, " for {duration:.1?}")?;
            }
            writeln!(f, ", spawned at {}", green.spawned_at)?;
        }
        writeln!(f, "{} processors", self.processors.len())?;
        for processor in &self.processors {
            let state = if processor.idle { "idle" } else { "in use" };
            writeln!(
                f,
                "  {} {state}, {} queued, {} timers, {} turns",
                processor.index, processor.queued, processor.timers, processor.turns
            )?;
        }
        writeln!(f, "{} machines", self.machines.len())?;
        for machine in &self.machines {
            let place = if machine.in_runtime { "in the runtime" } else { "in user code" };
            write!(f, "  {} (thread {}) {place}", machine.index, machine.thread_id)?;
            match machine.carries {
                Some(green) => writeln!(f, ", carries {green}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
