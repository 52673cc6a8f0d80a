//! Machines without a processor: who is granted one, and the start of new ones.
//!
//! The sleeping ones are on a list ([`SpareList`]); the message that one is sent is a processor, or
//! [`STOP`].

use super::run::Start;
use super::shared::Shared;
use super::spare_list::SpareList;
use super::tie::Wishes;
use super::ties::Ties;
use crate::machine::{Machine, Slice};
use crate::primitive::atomic::{AtomicU32, Ordering};
use crate::primitive::lock::{Lock, Rank};
use crate::processor::Processor;
use std::sync::Arc;

/// The message that tells a machine to end. Processors are aligned, so no processor is at 1.
pub(crate) const STOP: usize = 1;
/// How many machines one runtime may have; Go's limit.
pub(crate) const MACHINES_MAX: usize = 10_000;
/// How long a machine that nobody needs sleeps before its thread ends.
const IDLE_MAX_NS: u64 = 10_000_000_000;

/// The machines of one runtime.
#[derive(Debug)]
pub(crate) struct Spares {
    list: SpareList<Machine>,
    /// The threads, joined when the runtime ends.
    threads: Lock<Vec<std::thread::JoinHandle<()>>>,
    /// How many machines have a thread.
    running: AtomicU32,
    /// How many of them are left for green threads without a machine of their own.
    pub(super) ties: Ties,
    /// Who waits for one to be started.
    pub(super) wishes: Wishes,
}

impl std::ops::Deref for Spares {
    type Target = SpareList<Machine>;

    fn deref(&self) -> &SpareList<Machine> {
        &self.list
    }
}

impl Spares {
    /// No machines.
    pub(crate) fn new() -> Self {
        let threads = Lock::new(Rank(20), Vec::new());
        Self {
            list: SpareList::new(),
            threads,
            running: AtomicU32::new(0),
            ties: Ties::new(),
            wishes: Wishes::new(),
        }
    }

    /// Until when a machine that is about to sleep waits before it ends its thread; `None`: it is
    /// among the few that stay.
    pub(crate) fn idle_limit_ns(&self, keep: usize, now_ns: u64) -> Option<u64> {
        (self.sleeping() > keep).then(|| now_ns + IDLE_MAX_NS)
    }

    /// Notes that the thread of `machine` ends.
    pub(crate) fn retired(&self, machine: &Arc<Machine>) {
        machine.set_tid(0);
        // ORDERING: Relaxed; a count for the dump and the limit.
        self.running.fetch_sub(1, Ordering::Relaxed);
        self.vacate(machine.clone());
    }

    /// How many machines have a thread.
    pub(crate) fn running(&self) -> u32 {
        // ORDERING: Relaxed; a statistic.
        self.running.load(Ordering::Relaxed)
    }

    /// Calls `f` with every machine that has been made.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&Machine)) {
        self.all().iter().for_each(|machine| f(machine));
    }

    /// Keeps a thread to join, and forgets those that have ended.
    fn keep_thread(&self, thread: std::thread::JoinHandle<()>) {
        let mut threads = self.threads.lock();
        threads.push(thread);
        if threads.len().is_multiple_of(64) {
            threads.retain(|thread| !thread.is_finished());
        }
    }

    /// Takes the threads to join, at the end of the runtime.
    pub(crate) fn take_threads(&self) -> Vec<std::thread::JoinHandle<()>> {
        std::mem::take(&mut *self.threads.lock())
    }
}

impl Shared {
    /// Hands a processor that the caller holds to a sleeping machine, or to a new one, which the
    /// monitor starts.
    ///
    /// The machine counts as searching (`Idle::start_waking` has counted it).
    pub(crate) fn grant(&self, processor: &Processor) {
        processor.counters.wakes.bump();
        match self.spares.pop_or_order(processor.index) {
            Some(machine) => self.send(&machine, std::ptr::from_ref(processor) as usize),
            None => self.monitor.wake(),
        }
    }

    /// A machine has claimed a processor at its deadline, and is on no list. Where many machines are
    /// at work, the one that has slept longest goes on with it: whoever keeps time for all by itself
    /// has soon used its share of the CPUs up, and is late.
    pub(super) fn pass_on(&self, processor: &Processor) -> bool {
        let rested = self.spares.pop_rested();
        if let Some(machine) = &rested {
            self.send(machine, std::ptr::from_ref(processor) as usize);
        }
        rested.is_some()
    }

    /// Sends a machine that the caller has taken off the list its one message.
    fn send(&self, machine: &Machine, message: usize) {
        machine.parker.send(message, || {
            if let Some(poller) = self.poller.get() {
                poller.ring();
            }
        });
    }

    /// Sends every sleeping machine home.
    pub(super) fn stop_sleeping(&self) {
        while let Some(machine) = self.spares.pop() {
            self.send(&machine, STOP);
        }
    }

    /// The monitor's part of [`grant`](Self::grant).
    pub(super) fn fill_orders(&self) {
        while let Some((index, machine)) = self.spares.take_order() {
            let processor = &self.processors[index as usize];
            match machine {
                Some(machine) => self.send(&machine, std::ptr::from_ref(processor) as usize),
                None => self.grant_to_new(processor),
            }
        }
    }

    /// Starts a machine for `processor`; puts it back where the system has no more threads.
    #[cold]
    fn grant_to_new(&self, processor: &Processor) {
        let machine = self.spares.vacant(Machine::new);
        self.send(&machine, std::ptr::from_ref(processor) as usize);
        if let Err(error) = self.start_machine(machine.clone(), Start::Granted) {
            // Nobody reads the message: the machine has no thread.
            let _ = machine.parker.receive(Some(0));
            self.spares.vacate(machine);
            // NoHiddenIdle: the monitor holds the processor until here.
            processor.queue.spill_all(|line, kept| self.injectors.push(line, kept));
            self.idle.retire(processor.index, true);
            // ORDERING: Relaxed; the monitor alone writes and reads it.
            self.starved.store(true, Ordering::Relaxed);
            super::report::no_thread(&error, self.spares.running());
        }
    }

    /// Builder: starts the first machine, which stays. So there is always one (Inv. OneForAll).
    ///
    /// # Errors
    /// The kernel's; the runtime is of no use then.
    pub(crate) fn start_first(&self) -> std::io::Result<()> {
        let machine = self.spares.vacant(Machine::new);
        // Before it has a thread, so that the first spawn finds it: nobody else has the runtime yet.
        self.spares.push(&machine);
        self.start_machine(machine, Start::Granted)
    }

    /// Monitor: starts a machine that looks for work by itself.
    pub(super) fn start_spare(&self) -> std::io::Result<()> {
        let machine = self.spares.vacant(Machine::new);
        let started = self.start_machine(machine.clone(), Start::Spare);
        if started.is_err() {
            self.spares.vacate(machine);
        }
        started
    }

    fn start_machine(&self, machine: Arc<Machine>, start: Start) -> std::io::Result<()> {
        // ORDERING: Relaxed; a count for the dump and the limit.
        let running = self.spares.running.fetch_add(1, Ordering::Relaxed) as usize;
        // SAFETY: the caller is the monitor of this runtime or its builder, which keep it alive by a
        // strong count.
        let shared = unsafe { super::retain(self) };
        let started = if running >= MACHINES_MAX {
            Err(std::io::Error::other(format!("the limit of {MACHINES_MAX} machines is reached")))
        } else {
            crate::own_tls::on_machine(|| {
                crate::sys::schedule::spawn(format!("gthread-{}", machine.index), move || {
                    super::run::main(&shared, &machine, start);
                })
            })
        };
        match started {
            Ok(thread) => {
                self.spares.keep_thread(thread);
                self.spares.ties.note_started();
                Ok(())
            }
            Err(error) => {
                // ORDERING: Relaxed; as above.
                self.spares.running.fetch_sub(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Makes `machine` the holder of a processor that was claimed or granted. The monitor, who is
    /// asleep while all processors are idle, learns that one no longer is.
    pub(crate) fn take_up(&self, machine: &Machine, processor: &Processor) {
        machine.attach(processor);
        if !machine.has_slice(Slice::Short) {
            machine.swap_slice(Slice::Short);
            crate::sys::schedule::set_slice(0, Some(super::monitor::SHORT_SLICE_NS));
        }
        self.monitor.poke();
    }

    /// Wakes one machine with an idle processor, unless somebody searches already.
    #[cold]
    #[inline(never)]
    pub(crate) fn wake_one(&self) {
        while self.idle.start_waking() {
            if let Some(index) = self.idle.claim() {
                self.grant(&self.processors[index as usize]);
                return;
            }
            // A submitter may have counted on the search that does not take place, or one who has
            // made a processor idle and does not sleep.
            if !(self.idle.stop_searching()
                && self.idle.is_any_claimable()
                && (self.has_work() || self.wants_sleeper()))
            {
                return;
            }
        }
    }
}
