//! What a block costs.

use crate::arch;
use crate::own_tls;

const SLOTS: usize = 2000;
const STRIDE: usize = 65536;
const PAGE: usize = 4096;

/// How many pages below `end` are in memory.
fn resident(end: *mut u8) -> usize {
    let pages = own_tls::support().expect("supported here").block_bytes() / PAGE;
    let mut states = vec![0_u8; pages];
    let start = unsafe { end.sub(pages * PAGE) };
    let result = unsafe { libc::mincore(start.cast(), pages * PAGE, states.as_mut_ptr()) };
    assert_eq!(result, 0);
    states.iter().filter(|state| **state & 1 == 1).count()
}

/// What a green thread usually does: errno, a thread-local, the heap.
unsafe extern "C" fn touch(_argument: *mut ()) {
    unsafe { *libc::__errno_location() = 5 };
    std::hint::black_box(vec![1_u8; 100]);
}

#[test]
fn a_block_is_one_page_and_a_vector_of_modules() {
    alone!(|| unsafe {
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        );
        let none = std::ptr::null_mut();
        let slab = libc::mmap(none, SLOTS * STRIDE, protection, flags, -1, 0);
        assert_ne!(slab, libc::MAP_FAILED);
        libc::madvise(slab, SLOTS * STRIDE, libc::MADV_NOHUGEPAGE);
        let slab = slab.cast::<u8>();
        // In a static program nobody can tell whether restartable sequences are read, and on
        // x86-64 their mark is on the other page.
        let is_marked = cfg!(all(target_feature = "crt-static", target_arch = "x86_64"));
        let pages = if is_marked { 2 } else { 1 };
        let before = libc::mallinfo2().uordblks;
        let ends: Vec<*mut u8> = (1..=SLOTS).map(|slot| slab.add(slot * STRIDE)).collect();
        for &end in &ends {
            let block = own_tls::build(end).expect("memory");
            let here = arch::thread_pointer();
            own_tls::lend(here, block.thread_pointer());
            arch::call_on(block.thread_pointer(), touch, std::ptr::null_mut());
            own_tls::lend(block.thread_pointer(), here);
            assert_eq!(resident(end), pages);
            assert!(block.stack_top() as usize / PAGE == block.thread_pointer() / PAGE);
        }
        let heap = (libc::mallinfo2().uordblks - before) / SLOTS;
        let stack = ends.first().map(|end| own_tls::block_at(*end).stack_top() as usize % PAGE);
        eprintln!("note: {heap} bytes of heap a block, {stack:?} bytes of stack in its page");
        assert!(heap < 400, "{heap} bytes of heap a block");
    });
}

/// Prints what an end of thread-locals costs the first and the second time in a slot.
#[test]
#[ignore = "a measurement"]
fn measure_ends() {
    unsafe extern "C" fn end(_argument: *mut ()) {
        unsafe { own_tls::run_destructors() };
    }
    alone!(|| unsafe {
        let bytes = SLOTS * STRIDE;
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        );
        let slab = libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0);
        libc::madvise(slab, bytes, libc::MADV_NOHUGEPAGE);
        let time = |name: &str, f: &dyn Fn(*mut u8)| {
            let start = std::time::Instant::now();
            (1..=SLOTS).for_each(|slot| f(slab.cast::<u8>().add(slot * STRIDE)));
            let each = start.elapsed().as_nanos() as f64 / SLOTS as f64;
            eprintln!("note: {name}: {each:.1} ns");
        };
        let run = |slot: *mut u8, f| {
            arch::call_on(own_tls::block_at(slot).thread_pointer(), f, std::ptr::null_mut());
        };
        time("build, with the first touch of its page", &|slot| {
            own_tls::build(slot).expect("memory");
        });
        time("first end", &|slot| run(slot, end));
        for _ in 0..3 {
            time("next end", &|slot| run(slot, end));
            time("renew", &|slot| own_tls::renew(own_tls::block_at(slot)));
        }
    });
}
