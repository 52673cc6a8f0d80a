//! Where everything lies in a block, measured from its thread pointer.
//!
//! ```text
//! x86-64   low                                        page boundary          end of the slot
//!  ... stack │ surplus │ thread-locals │ head of struct pthread ┊ tail of struct pthread │
//!            ^ stack top               ^ thread pointer         ┊ never touched as a rule
//!
//! aarch64  low                                        page boundary          end of the slot
//!  ... stack │ struct pthread │ tcb │ thread-locals             ┊ surplus               │
//!            ^ stack top      ^ thread pointer                  ┊ never touched as a rule
//! ```
//! The *surplus* is what glibc keeps free for modules that are loaded later and want static
//! thread-locals. The *template* is the part of a block that is copied for each green thread: the
//! thread-locals of all modules that were there at start, and the head of `struct pthread`.
//!
//! Every offset is found out, none is assumed: sizes from the loader, fields from what glibc
//! tells debuggers, the robust list from the kernel, the resolver's pointer from what libc does
//! on a thread of its own.
//!
//! **Trap**: the offset of the thread's id is never found by searching for the id. With
//! `pid_max` 32768 the upper half of a pointer (0x7fxx) can equal it.

use super::Unsupported;
use super::modules::StaticModule;
use super::symbols::Symbols;
use crate::{arch, sys};
use core::ops::Range;

/// On which side of the thread pointer the thread-locals lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Orientation {
    /// Thread-locals below, `struct pthread` at and above the thread pointer (variant II).
    LocalsBelow,
    /// `struct pthread` below, two words at and thread-locals above the thread pointer
    /// (variant I).
    LocalsAbove,
}

/// The orientation of this architecture.
pub(super) const ORIENTATION: Orientation =
    if cfg!(target_arch = "x86_64") { Orientation::LocalsBelow } else { Orientation::LocalsAbove };

/// The vector of modules (dtv): its place in the head of the block.
pub(super) const DTV: isize = match ORIENTATION {
    Orientation::LocalsBelow => 8,
    Orientation::LocalsAbove => 0,
};

/// How many thread-specific keys have their value in the hot part on x86-64.
const HOT_KEYS: usize = 3;
/// Bytes of one thread-specific value: a sequence number and the value.
pub(super) const KEY_BYTES: usize = 16;
/// How many keys share a block of thread-specific values; the first block lies in the record.
pub(super) const KEYS_PER_BLOCK: usize = 32;

/// Offsets from the thread pointer, and sizes.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The block is `[tp - below, tp + above)`.
    pub(super) below: usize,
    /// See `below`.
    pub(super) above: usize,
    /// The last byte that is usually touched lies before `tp + hot_above`.
    pub(super) hot_above: usize,
    /// What is copied for each green thread; see the module.
    pub(super) template: Range<isize>,
    /// A part of the template that libc never uses, or nothing. A renewal skips it; the state of
    /// the resolver lies there, so that its end can be seen without touching the cold part.
    pub(super) unused: Range<isize>,
    /// Bytes of a page.
    pub(super) page: usize,
    /// `struct pthread`.
    pub(super) pthread: isize,
    /// The thread's id.
    pub(super) tid: isize,
    /// Links in glibc's list of threads: next, previous.
    pub(super) list: isize,
    /// Head of the list of robust futexes, with the previous link right below.
    pub(super) robust: isize,
    /// Array of pointers to blocks of thread-specific values; the first block is right below.
    pub(super) specific: isize,
    /// The state of the resolver.
    pub(super) resolver: isize,
    /// libc's pointer to the resolver state in force.
    pub(super) resolver_pointer: isize,
    /// `errno`.
    pub(super) errno: isize,
    /// libc's pointer to the last error of the loader, if it was found.
    pub(super) loader_error: Option<isize>,
    /// The processor number in the restartable-sequence area, if glibc has one.
    pub(super) rseq_cpu: Option<isize>,
}

impl Layout {
    /// Measures the running process, on an OS thread's own block.
    ///
    /// # Errors
    /// Where two sources disagree, with a sentence.
    pub(super) fn measure(
        symbols: &Symbols,
        modules: &[StaticModule],
    ) -> Result<Self, Unsupported> {
        let (mut bytes, mut align) = (0, 0);
        // SAFETY: the function stores a word in each place.
        unsafe { (symbols.static_info)(&raw mut bytes, &raw mut align) };
        let page = sys::thread::page_bytes();
        let align = align.max(64);
        let has_record = ORIENTATION == Orientation::LocalsBelow;
        let bytes_min = if has_record { symbols.pthread_bytes } else { 16 };
        if !align.is_power_of_two() || align > page || bytes < bytes_min {
            return Err(Unsupported::new("glibc's static thread-locals have an odd size"));
        }
        let pthread_bytes = symbols.pthread_bytes;
        let (pthread, below, above) = match ORIENTATION {
            Orientation::LocalsBelow => (0, bytes - pthread_bytes, pthread_bytes),
            Orientation::LocalsAbove => {
                (-(pthread_bytes as isize), pthread_bytes.next_multiple_of(align), bytes)
            }
        };
        let field = |offset: usize| pthread + offset as isize;
        let specific = field(symbols.specific);
        let rseq_cpu = symbols.rseq_offset.map(|offset| offset + 4);
        let template = template(modules, symbols, below, specific, rseq_cpu)?;
        let hot_above = usize::try_from(template.end).unwrap_or(0).next_multiple_of(align);
        let resolver = Resolver::find(symbols, below, above)?;
        let unused = unused(field(symbols.list));
        let tid = tid(symbols, pthread)?;
        let has_room = unused.len() >= RESOLVER_BYTES;
        let resolver_state = if has_room { unused.start } else { resolver.state };
        let layout = Self {
            below,
            above: above.max(hot_above),
            hot_above,
            template,
            unused,
            page,
            pthread,
            tid,
            list: field(symbols.list),
            robust: robust(pthread, pthread_bytes, tid)?,
            specific,
            resolver: resolver_state,
            resolver_pointer: resolver.pointer,
            errno: sys::thread::errno_address().wrapping_sub(arch::thread_pointer()) as isize,
            loader_error: symbols
                .loader_error
                .map(|address| address.wrapping_sub(arch::thread_pointer()) as isize),
            rseq_cpu,
        };
        layout.check_list()?;
        Ok(layout)
    }

    /// Bytes behind the page boundary that a parked green thread does not touch.
    pub(super) fn cold_bytes(&self) -> usize {
        (self.above - self.hot_above).next_multiple_of(self.page)
    }

    /// Whole pages that a slot keeps free for the block.
    pub(super) fn block_bytes(&self) -> usize {
        self.cold_bytes() + (self.below + self.hot_above).next_multiple_of(self.page)
    }

    /// Whether `[tp + offset, tp + offset + bytes)` belongs to the block.
    pub(super) fn contains(&self, offset: isize, bytes: usize) -> bool {
        let Some(end) = offset.checked_add_unsigned(bytes) else { return false };
        offset >= -(self.below as isize) && end <= self.above as isize
    }

    /// Whether the offset lies in the part that is copied for each green thread.
    pub(super) fn is_in_template(&self, offset: isize) -> bool {
        self.template.contains(&offset)
    }

    /// The running thread is on glibc's list of threads: its neighbour links back to it.
    fn check_list(&self) -> Result<(), Unsupported> {
        /// The neighbour may be ending just now.
        const TRIES: usize = 100;
        let links = arch::thread_pointer().wrapping_add_signed(self.list);
        let is_linked = || {
            let mut next = [0];
            let mut back = [0];
            sys::heap::peek(links, &mut next)
                && sys::heap::peek(next[0].wrapping_add(8), &mut back)
                && back[0] == links
        };
        if (0..TRIES).any(|_| is_linked()) {
            Ok(())
        } else {
            Err(Unsupported::new("glibc's list of threads is elsewhere"))
        }
    }
}

/// The range of the template: all static modules, and the head of `struct pthread` up to the
/// first few thread-specific values; with variant I all of `struct pthread`.
fn template(
    modules: &[StaticModule],
    symbols: &Symbols,
    below: usize,
    specific: isize,
    rseq_cpu: Option<isize>,
) -> Result<Range<isize>, Unsupported> {
    let mut range = match ORIENTATION {
        Orientation::LocalsBelow => {
            let first_values = specific - (KEYS_PER_BLOCK * KEY_BYTES) as isize;
            0..first_values + (HOT_KEYS * KEY_BYTES) as isize
        }
        Orientation::LocalsAbove => -(symbols.pthread_bytes as isize)..16,
    };
    for module in modules {
        range.start = range.start.min(module.offset);
        range.end = range.end.max(module.offset + module.bytes() as isize);
    }
    // From glibc 2.41 on the restartable-sequence area lies among the thread-locals.
    if let Some(cpu) = rseq_cpu.filter(|cpu| *cpu < 0) {
        range.start = range.start.min(cpu - 4);
    }
    // The copy moves whole cache lines.
    range.start &= -64;
    range.end = (range.end + 63) & -64;
    if range.start < -(below as isize) {
        return Err(Unsupported::new("a thread-local lies outside glibc's static block"));
    }
    Ok(range)
}

/// The part of the head of the record that glibc once saved vector registers in and keeps free
/// since (`__glibc_unused2` and `__padding`): nine cache lines that a renewal need not touch.
fn unused(list: isize) -> Range<isize> {
    const FREE: Range<isize> = 0x80..0x2c0;
    let mut words = [0; FREE.end as usize / 8];
    let is_unused = ORIENTATION == Orientation::LocalsBelow
        && list >= FREE.end
        && sys::heap::peek(arch::thread_pointer(), &mut words)
        && words[FREE.start as usize / 8..].iter().all(|word| *word == 0);
    if is_unused { FREE } else { 0..0 }
}

/// Where the thread's id lies: glibc says so, and the id is there on two threads.
///
/// The kernel clears a word at this place when a thread ends, which confirms it. From glibc 2.43
/// on it clears another one (`joinstate`), and there is no telling from the kernel.
fn tid(symbols: &Symbols, pthread: isize) -> Result<isize, Unsupported> {
    let offset = pthread + symbols.tid as isize;
    let is_here = move || {
        let mut word = [0];
        let place = arch::thread_pointer().wrapping_add_signed(offset);
        sys::heap::peek(place, &mut word) && word[0] as u32 == sys::thread::id()
    };
    let place = arch::thread_pointer().wrapping_add_signed(offset);
    let is_confirmed = sys::thread::id_address() == Some(place);
    if is_here() && (is_confirmed || super::on_fresh_thread(is_here)?) {
        Ok(offset)
    } else {
        Err(Unsupported::new("the thread's id is not where glibc says"))
    }
}

/// Where the head of the robust list lies: asked of the kernel. Under an emulator that does not
/// tell it lies where it always has, right behind the id and the previous link; an empty list
/// points to itself.
fn robust(pthread: isize, pthread_bytes: usize, tid: isize) -> Result<isize, Unsupported> {
    let tp = arch::thread_pointer();
    let offset = match sys::thread::robust_list_head() {
        Some(head) => head.wrapping_sub(tp) as isize,
        None => {
            let head = tp.wrapping_add_signed(tid + 16);
            let mut first = [0];
            if !sys::heap::peek(head, &mut first) || first[0] != head {
                return Err(Unsupported::new("nobody tells where the robust list lies"));
            }
            tid + 16
        }
    };
    let inside = offset - pthread;
    if inside >= 8 && inside as usize + 24 <= pthread_bytes {
        Ok(offset)
    } else {
        Err(Unsupported::new("the robust list lies outside struct pthread"))
    }
}

/// The resolver state of an OS thread that is not the first: libc points at the one inside the
/// thread's record. (In a block made by the loader alone it points at the first thread's.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resolver {
    state: isize,
    pointer: isize,
}

impl Resolver {
    /// Bytes of `struct __res_state`, which `<resolv.h>` publishes.
    const BYTES: usize = 568;

    /// Looks on two fresh threads, which have to agree.
    fn find(symbols: &Symbols, below: usize, above: usize) -> Result<Self, Unsupported> {
        let res_state = symbols.res_state;
        let look = move || {
            // SAFETY: takes nothing, returns the running thread's pointer.
            let state = unsafe { res_state() };
            let tp = arch::thread_pointer();
            let inside = state >= tp.wrapping_sub(below) && state + Self::BYTES <= tp + above;
            let mut words = vec![0; (below + above) / 8];
            if !inside || !sys::heap::peek(tp - below, &mut words) {
                return None;
            }
            let mut places = words.iter().enumerate().filter(|(_, word)| **word == state);
            let (index, _) = places.next()?;
            let pointer = (index * 8) as isize - below as isize;
            let found = Self { state: state.wrapping_sub(tp) as isize, pointer };
            places.next().is_none().then_some(found)
        };
        let first = super::on_fresh_thread(look)?;
        let second = super::on_fresh_thread(look)?;
        first
            .filter(|_| first == second)
            .ok_or(Unsupported::new("glibc keeps the resolver state in an unknown place"))
    }
}

/// Bytes of the resolver state.
pub(super) const RESOLVER_BYTES: usize = Resolver::BYTES;
