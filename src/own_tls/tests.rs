//! One block at a time, on one OS thread: what the contract promises without a scheduler.

use super::*;
use std::cell::{Cell, RefCell};

/// Zeroed pages with a block at their end.
struct Slot {
    pages: *mut u8,
    layout: std::alloc::Layout,
    block: Block,
}

impl Slot {
    fn new() -> Self {
        let support = support().expect("supported here");
        let bytes = support.block_bytes() + 65536;
        let layout = std::alloc::Layout::from_size_align(bytes, 4096).expect("a layout");
        // SAFETY: not empty.
        let pages = unsafe { std::alloc::alloc_zeroed(layout) };
        // SAFETY: the end of the allocation.
        let end = unsafe { pages.add(bytes) };
        // SAFETY: zeroed pages of our own.
        let block = unsafe { build(end) }.expect("memory");
        Self { pages, layout, block }
    }

    /// Runs `f` on the block's thread pointer.
    fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        // SAFETY: nobody else runs on the slot's block.
        unsafe { on_thread_pointer(self.block.thread_pointer(), f) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: nobody runs on it.
        unsafe { discard(self.block.thread_pointer()) };
        // SAFETY: allocated with this layout.
        unsafe { std::alloc::dealloc(self.pages, self.layout) };
    }
}

#[test]
fn support_is_found_here() {
    let support = support().expect("supported here");
    eprintln!("{support:#x?} {:x?}", words::offsets());
    assert!(support.block_bytes() > 0);
    assert_eq!(words::offsets().len(), 2, "malloc's words are found");
    assert!(support.kept.is_empty());
}

#[test]
fn each_block_has_its_own_values() {
    std::thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(41) };
        static TEXT: RefCell<String> = RefCell::new("initial".into());
    }
    let (a, b) = (Slot::new(), Slot::new());
    NUMBER.set(1);
    for (slot, number) in [(&a, 2), (&b, 3)] {
        slot.run(|| {
            assert_eq!(NUMBER.replace(number), 41);
            TEXT.with_borrow_mut(|text| text.push('!'));
        });
    }
    assert_eq!(NUMBER.get(), 1);
    assert_eq!(a.run(|| NUMBER.get()), 2);
    assert_eq!(b.run(|| (NUMBER.get(), TEXT.take())), (3, "initial!".into()));
    for slot in [&a, &b] {
        // SAFETY: the slot's block ends here.
        slot.run(|| unsafe { run_destructors() });
        // SAFETY: nobody runs on it.
        unsafe { renew(slot.block) };
        assert_eq!(slot.run(|| (NUMBER.get(), TEXT.take())), (41, "initial".into()));
    }
}

#[test]
fn a_panic_crosses_the_trampoline_and_counts_on_its_own_block() {
    let slot = Slot::new();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        slot.run(|| std::panic::resume_unwind(Box::new(7_u8)))
    }));
    let payload = caught.expect_err("a panic");
    assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
    assert!(!std::thread::panicking());
    assert!(!slot.run(std::thread::panicking));
}

#[test]
fn a_renewed_block_has_another_id() {
    let slot = Slot::new();
    let first = slot.run(sys_owner).expect("checked");
    // SAFETY: nobody runs on it.
    unsafe { renew(slot.block) };
    let second = slot.run(sys_owner).expect("checked");
    assert_ne!(first, second);
    assert!(first > 1 << 22 && second < 1 << 30);
}

fn sys_owner() -> Option<u32> {
    crate::sys::thread::owner_of_new_mutex()
}

/// Prints what building, renewing and lending cost; asserts nothing.
#[test]
#[ignore = "a measurement"]
fn measure() {
    let time = |name: &str, times: u32, f: &mut dyn FnMut()| {
        let mut best = f64::MAX;
        for _ in 0..20 {
            let start = std::time::Instant::now();
            for _ in 0..times {
                f();
            }
            best = best.min(start.elapsed().as_nanos() as f64 / f64::from(times));
        }
        eprintln!("{name}: {best:.1} ns");
    };
    let slot = Slot::new();
    let own = arch::thread_pointer();
    let tp = slot.block.thread_pointer();
    // SAFETY: nobody runs on the slot's block.
    time("renew", 10_000, &mut || unsafe { renew(std::hint::black_box(slot.block)) });
    // SAFETY: as above.
    time("lend", 10_000, &mut || unsafe { lend(own, std::hint::black_box(tp)) });
    time("run on a block", 10_000, &mut || slot.run(|| ()));
    // SAFETY: the block has nothing to destroy.
    time("run_destructors on a block", 10_000, &mut || slot.run(|| unsafe { run_destructors() }));
    // SAFETY: the end of the slot's own pages, with an unused block.
    let end = unsafe { slot.pages.add(slot.layout.size()) };
    time("discard and build", 1_000, &mut || {
        // SAFETY: nobody runs on it.
        unsafe { discard(slot.block.thread_pointer()) };
        // SAFETY: the same place again; the template and the loader overwrite what matters.
        let again = unsafe { build(end) };
        assert_eq!(again.expect("memory"), slot.block);
    });
    let many: Vec<Slot> = (0..10_000).map(|_| Slot::new()).collect();
    let mut each = many.iter().cycle();
    time("renew, 10,000 blocks in turn", 10_000, &mut || {
        if let Some(slot) = each.next() {
            // SAFETY: nobody runs on it.
            unsafe { renew(slot.block) };
        }
    });
}
