//! Threads, processes, names: libc and std do their work on a green thread.

use crate::harness::{each, thread_pointer, yield_now, yields};
use std::cell::RefCell;
use std::net::ToSocketAddrs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

thread_local!(static LIST: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) });

#[test]
fn threads_are_spawned_joined_and_scoped() {
    alone!(|| each(6, |number| {
        for round in 0..30 {
            let thread = std::thread::spawn(move || {
                LIST.with_borrow_mut(|list| list.push(round));
                LIST.with_borrow(Vec::len) + number
            });
            yield_now();
            assert_eq!(thread.join().expect("a value"), 1 + number);
            let mut list = vec![1, 2, 3];
            std::thread::scope(|scope| {
                scope.spawn(|| list.push(4));
            });
            assert_eq!(list.len(), 4);
            let thread = std::thread::spawn(|| std::panic::resume_unwind(Box::new(1)));
            yield_now();
            let outcome: std::thread::Result<()> = thread.join();
            assert!(outcome.is_err());
        }
    }));
}

#[test]
fn threads_of_libc_are_created_and_joined() {
    extern "C" fn body(argument: *mut libc::c_void) -> *mut libc::c_void {
        unsafe { *libc::__errno_location() = 5 };
        std::hint::black_box(vec![1_u8; 1000]);
        argument
    }
    alone!(|| each(6, |_| unsafe {
        for number in 1..60_usize {
            let mut thread = 0;
            let argument = number as *mut _;
            assert_eq!(libc::pthread_create(&mut thread, std::ptr::null(), body, argument), 0);
            yield_now();
            let mut result = std::ptr::null_mut();
            assert_eq!(libc::pthread_join(thread, &mut result), 0);
            assert_eq!(result as usize, number);
        }
    }));
}

/// The processor number in the running OS thread's restartable-sequence area.
fn area_cpu() -> Option<i32> {
    unsafe {
        let offset = libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_offset".as_ptr());
        let size = libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_size".as_ptr());
        if offset.is_null() || *size.cast::<u32>() == 0 {
            return None;
        }
        let tp = thread_pointer();
        let cpu = (tp.wrapping_add_signed(*offset.cast::<isize>()) + 4) as *const i32;
        Some(cpu.read_volatile())
    }
}

#[test]
fn threads_of_green_threads_have_restartable_sequences() {
    alone!(|| {
        if area_cpu().is_none() {
            eprintln!("note: skipped, this libc or kernel has no restartable sequences");
            return;
        }
        // A module that reads the area makes every block say that it is not registered, which
        // libc would copy to a thread that is started on a green thread's thread pointer.
        let source = "extern const long __rseq_offset; long offset(void) { return __rseq_offset; }";
        let Some(object) = crate::harness::shared_object("reader", source, &[]) else { return };
        crate::loading::load(&object);
        each(4, |_| {
            let cpu = std::thread::spawn(area_cpu).join().expect("a number");
            assert!(cpu.is_some_and(|cpu| cpu >= 0), "{cpu:?}");
        });
    });
}

#[test]
fn commands_run_with_pipes_and_hooks() {
    use std::io::{Read, Write};
    alone!(|| each(4, |number| {
        for round in 0..10 {
            let text = format!("{number}-{round}");
            let output = Command::new("/bin/echo").arg(&text).output().expect("output");
            assert_eq!(output.stdout, format!("{text}\n").into_bytes());
            yield_now();
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", "exit 7"]);
            unsafe {
                shell.pre_exec(|| {
                    std::hint::black_box(vec![1_u8; 100_000]);
                    Ok(())
                });
            }
            assert_eq!(shell.status().expect("a status").code(), Some(7));
            let mut cat = Command::new("/bin/cat")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("cat");
            yield_now();
            cat.stdin.take().expect("piped").write_all(b"abc").expect("written");
            yield_now();
            let mut text = String::new();
            cat.stdout.take().expect("piped").read_to_string(&mut text).expect("read");
            assert_eq!(text, "abc");
            assert!(cat.wait().expect("a status").success());
            assert!(Command::new("/nonexistent").spawn().is_err());
        }
    }));
}

/// What a forked child does; the exit code says what went wrong.
fn child(length: usize) -> i32 {
    if LIST.with_borrow(Vec::len) != length {
        return 3;
    }
    let boxes: Vec<Box<usize>> = (0..1000).map(Box::new).collect();
    let sum = std::thread::spawn(move || boxes.iter().map(|b| **b).sum::<usize>()).join();
    if sum.ok() != Some(499_500) {
        return 4;
    }
    let threads: Vec<_> = (0..20).map(|number| std::thread::spawn(move || number)).collect();
    let sum: i32 = threads.into_iter().map(|thread| thread.join().unwrap_or(-1)).sum();
    if sum != 190 {
        return 5;
    }
    unsafe {
        let grandchild = libc::fork();
        if grandchild == 0 {
            let thread = std::thread::spawn(|| 9);
            libc::_exit(thread.join().unwrap_or(1));
        }
        let mut status = 0;
        libc::waitpid(grandchild, &mut status, 0);
        if !libc::WIFEXITED(status) || libc::WEXITSTATUS(status) != 9 {
            return 6;
        }
        libc::signal(libc::SIGUSR2, libc::SIG_IGN);
        if libc::raise(libc::SIGUSR2) != 0 {
            return 8;
        }
    }
    42
}

#[test]
fn a_forked_child_allocates_and_starts_threads() {
    static FORKED_BY: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn prepare() {
        FORKED_BY.store(unsafe { libc::pthread_self() } as usize, SeqCst);
    }
    alone!(|| each(4, |_| unsafe {
        for round in 0..10 {
            if round == 0 {
                libc::pthread_atfork(Some(prepare), None, None);
            }
            LIST.with_borrow_mut(|list| list.push(1));
            *libc::__errno_location() = 11;
            let process = libc::fork();
            if process == 0 {
                libc::_exit(child(round + 1));
            }
            assert!(process > 0);
            assert_eq!(*libc::__errno_location(), 11);
            assert_ne!(FORKED_BY.load(SeqCst), libc::pthread_self() as usize);
            yield_now();
            let mut status = 0;
            assert_eq!(libc::waitpid(process, &mut status, 0), process);
            assert!(libc::WIFEXITED(status), "the child got a signal: {status:#x}");
            assert_eq!(libc::WEXITSTATUS(status), 42);
        }
    }));
}

#[test]
fn a_thread_beside_green_threads_forks() {
    alone!(|| {
        for _ in 0..5 {
            let process = std::thread::spawn(|| unsafe {
                let process = libc::fork();
                if process == 0 {
                    libc::_exit(child(0));
                }
                process
            });
            while !process.is_finished() {
                yields(5);
            }
            let process = process.join().expect("a process");
            let mut status = 0;
            assert_eq!(unsafe { libc::waitpid(process, &mut status, 0) }, process);
            assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 42));
        }
    });
}

#[test]
fn names_are_looked_up_by_many_at_once() {
    alone!(|| each(64, |_| {
        for _ in 0..3 {
            let addresses = ("localhost", 80).to_socket_addrs().expect("localhost");
            assert!(addresses.count() > 0);
            yield_now();
            assert!(("no-such-host.invalid", 80).to_socket_addrs().is_err());
            yield_now();
        }
    }));
}

#[test]
fn resolver_states_are_their_own_and_closed() {
    /// The head of `struct __res_state`.
    #[repr(C)]
    struct State {
        times: [i32; 2],
        options: usize,
        servers: i32,
    }
    unsafe extern "C" {
        fn __res_state() -> *mut State;
        fn __res_init() -> i32;
    }
    static STATES: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());
    alone!(|| {
        for _ in 0..20 {
            each(8, |number| unsafe {
                let state = __res_state();
                STATES.lock().expect("states").push(state as usize);
                yields(3);
                assert_eq!(
                    STATES.lock().expect("states").iter().filter(|s| **s == state as usize).count(),
                    1,
                    "a shared state"
                );
                assert_eq!((*state).servers, 0, "the state of an ended green thread");
                assert_eq!(__res_init(), 0);
                assert_ne!((*state).servers, 0);
                (*state).options |= 1 << (16 + number);
                yields(3);
                assert_eq!(__res_state(), state);
                assert_ne!((*state).options & 1 << (16 + number), 0);
                STATES.lock().expect("states").retain(|s| *s != state as usize);
            });
        }
    });
}

#[test]
fn conversions_users_and_times_work() {
    alone!(|| each(6, |_| unsafe {
        if cfg!(not(target_feature = "crt-static")) {
            let converter = libc::iconv_open(c"UTF-16".as_ptr(), c"ISO-8859-15".as_ptr());
            assert_ne!(converter as isize, -1);
            yield_now();
            libc::iconv_close(converter);
        }
        let user = libc::getpwnam(c"root".as_ptr());
        assert!(!user.is_null() && (*user).pw_uid == 0);
        let (mut time, zero): (libc::tm, libc::time_t) = (std::mem::zeroed(), 0);
        assert!(!libc::localtime_r(&zero, &mut time).is_null());
    }));
}
