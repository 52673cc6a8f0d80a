//! The kernel says no: at each call in turn, once and for good.

/// The cases of this file.
#[cfg(not(feature = "fault-injection"))]
pub(super) fn run_case(_case: &str) -> bool {
    false
}

#[cfg(feature = "fault-injection")]
pub(super) use injected::run_case;

#[cfg(feature = "fault-injection")]
mod injected {
    use crate::stack::tests::*;
    use crate::sys::fault::{Call, calls, clear, fail};

    const EINVAL: i32 = 22;
    const ENOMEM: i32 = 12;
    const EPERM: i32 = 1;

    /// The cases of this file.
    pub(crate) fn run_case(case: &str) -> bool {
        match case {
            "poison" => poison(),
            "mprotect" => mprotect(),
            "map limit" => map_limit(),
            "no mapping" => no_mapping(),
            "some mapping" => some_mapping(),
            "no guard" => no_guard(),
            "no trimming" => no_trimming(),
            _ => return false,
        }
        true
    }

    #[test]
    fn an_older_kernel_gets_guards_by_poison() {
        pass("poison");
    }

    #[test]
    fn a_still_older_kernel_gets_guards_by_mprotect() {
        pass("mprotect");
    }

    #[test]
    fn at_the_limit_of_mappings_spawn_fails_cleanly_and_the_pool_goes_on() {
        pass("map limit");
    }

    #[test]
    fn without_any_mapping_spawn_fails_cleanly_and_later_works() {
        pass("no mapping");
    }

    #[test]
    fn when_the_kth_mapping_fails_a_smaller_one_is_made() {
        pass("some mapping");
    }

    #[test]
    fn without_a_guard_there_is_no_stack() {
        pass("no guard");
    }

    #[test]
    fn trimming_that_fails_loses_nothing() {
        pass("no trimming");
    }

    fn poison() {
        fail(Call::GuardInstall, 0, u64::MAX, EINVAL);
        fail(Call::Protect, 0, u64::MAX, EPERM);
        let descriptors = || std::fs::read_dir("/proc/self/fd").expect("proc is there").count();
        let (before, mappings) = (descriptors(), memory::mappings());
        let start = std::time::Instant::now();
        let Ok(ticket) = reserve(size(1)) else {
            assert!(calls(Call::Protect) > 0);
            return eprintln!("this kernel has no UFFDIO_POISON, or forbids it");
        };
        let tickets: Vec<_> = (1..20_000).map(|_| reserve(size(1)).expect("guards")).collect();
        let ns = start.elapsed().as_nanos() / 20_000;
        let added = memory::mappings() - mappings;
        eprintln!("20000 stacks guarded by UFFDIO_POISON: {ns} ns each, {added} mappings");
        assert!(added < 20, "{added} mappings");
        assert_eq!(descriptors(), before);
        assert_eq!(stats().guard, Some(GuardKind::Poison));
        let stacks: Vec<_> = tickets.into_iter().chain([ticket]).map(take_global).collect();
        for stack in stacks.iter().step_by(100) {
            assert!(memory::is_guarded(stack.bottom() as usize - 1));
            assert!(!memory::is_guarded(stack.bottom() as usize));
            assert!(!memory::is_guarded(stack.end() as usize - 1));
        }
        give_all(stacks);
    }

    fn mprotect() {
        fail(Call::GuardInstall, 0, u64::MAX, EINVAL);
        fail(Call::Poison, 0, u64::MAX, EPERM);
        let stacks: Vec<_> = (0..1000).map(|_| stack(size(1))).collect();
        assert_eq!(calls(Call::GuardInstall), stats().slabs as u64, "asked once a slab");
        assert!(calls(Call::Protect) >= 1000);
        assert_eq!(stats().guard, Some(GuardKind::Protection));
        assert!(stacks.iter().all(|stack| {
            find(stack.bottom() as usize - 1).is_some_and(|info| info.is_in_guard)
        }));
        give_all(stacks);
    }

    fn map_limit() {
        fail(Call::GuardInstall, 0, u64::MAX, EINVAL);
        fail(Call::Poison, 0, u64::MAX, EPERM);
        let mut tickets = Vec::new();
        let error = loop {
            match reserve(size(1)) {
                Ok(ticket) => tickets.push(ticket),
                Err(error) => break error,
            }
            assert!(tickets.len() < 10_000_000, "there is no limit here");
        };
        eprintln!("after {} stacks: {error}", tickets.len());
        assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
        assert!(error.to_string().contains("vm.max_map_count"), "{error}");
        // Others still get memory, and so does whoever waits for a stack to come back.
        let others: Vec<_> = (0..100).map(|_| vec![1u8; 1 << 20]).collect();
        std::thread::spawn(|| ()).join().expect("a thread can be started");
        assert!(reserve(size(1)).is_err());
        let stacks: Vec<_> = tickets.into_iter().map(take_global).collect();
        assert!(reserve(size(1)).is_err());
        let wanted = stacks.len();
        give_all(stacks);
        let again: Vec<_> = (0..wanted).map(|_| stack(size(1))).collect();
        assert!(reserve(size(1)).is_err());
        give_all(again);
        drop(others);
    }

    fn no_mapping() {
        let mut cache = Cache::new(size(1)).expect("a class");
        fail(Call::Mmap, 0, u64::MAX, ENOMEM);
        for _ in 0..3 {
            let error = cache.reserve(size(1)).expect_err("no mapping");
            assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
            assert!(error.to_string().contains("stack of 69632 bytes: mapping"), "{error}");
        }
        clear();
        let ticket = cache.reserve(size(1)).expect("now there is memory");
        let stack = cache.take(ticket);
        // SAFETY: nothing runs on it.
        unsafe { cache.give(stack) };
    }

    fn some_mapping() {
        for k in 0..12 {
            let size = size(10 + k);
            fail(Call::Mmap, k as u64, 1, ENOMEM);
            let stacks: Vec<_> = (0..2000).map(|_| stack(size)).collect();
            assert!(calls(Call::Mmap) > 1);
            give_all(stacks);
        }
        // A run of failures from the first call on: the slab shrinks until it fits.
        for count in 0..9 {
            fail(Call::Mmap, 0, count, ENOMEM);
            let size = size(30 + count as usize);
            let stacks: Vec<_> = (0..10).map(|_| stack(size)).collect();
            give_all(stacks);
        }
        fail(Call::Mmap, 0, 9, ENOMEM);
        assert!(reserve(size(50)).is_err(), "not even one slot");
        assert!(reserve(size(50)).is_ok());
    }

    fn no_guard() {
        for k in 0..70 {
            let size = size(100 + k % 7);
            fail(Call::GuardInstall, k as u64, 1, EPERM);
            let made = (0..100).map(|_| reserve(size)).filter_map(Result::ok).map(take_global);
            let stacks: Vec<_> = made.collect();
            clear();
            assert!(stacks.len() >= 99, "one failure costs at most one spawn");
            give_all(stacks);
        }
        fail(Call::GuardInstall, 0, u64::MAX, EINVAL);
        fail(Call::Poison, 0, u64::MAX, EPERM);
        fail(Call::Protect, 0, u64::MAX, ENOMEM);
        let error = reserve(size(120)).expect_err("no guard of either kind");
        assert!(error.to_string().contains("vm.max_map_count"), "{error}");
        clear();
        give_all([stack(size(120))]);
    }

    fn no_trimming() {
        fail(Call::DontNeed, 0, u64::MAX, EINVAL);
        let size = size(1);
        for _ in 0..3 {
            give_all([stack(size)]);
            age();
        }
        scavenge(100);
        assert_eq!(scavenge(100), 0);
        assert!(stats().slots_trimmed > 0);
        trim_all(None);
        trim_all(Some(|_| ()));
        assert!(calls(Call::DontNeed) > 0);
        give_all([stack(size)]);
    }
}
