//! Green threads that are OS threads: the same lives, however their runtime ends.

mod common;

use common::watch;
use std::sync::mpsc;

fn runtime() -> gthread::Runtime {
    gthread::Runtime::builder().processors(1).os_threads(true).build().expect("a runtime")
}

#[test]
fn a_survivor_keeps_its_runtime() {
    let _dog = watch("a_survivor_keeps_its_runtime");
    let runtime = runtime();
    let (sender, receiver) = mpsc::channel();
    let survivor = runtime.spawn(move || {
        receiver.recv().unwrap();
        // Asks its runtime, whose handle is gone by now.
        gthread::Builder::new().spawn(|| ()).map(drop).unwrap_err().to_string()
    });
    drop(runtime);
    // Whatever was freed with the handle is somebody else's memory now.
    let others: Vec<Vec<u8>> = (0..64 * 1024).map(|size| vec![1; 16 + size / 16]).collect();
    sender.send(()).unwrap();
    assert_eq!(survivor.join().unwrap(), "the runtime is shut down and takes no new green threads");
    drop(others);
}

#[test]
fn a_name_no_os_thread_can_have_is_kept_by_the_green_thread() {
    let _dog = watch("a_name_no_os_thread_can_have_is_kept_by_the_green_thread");
    let runtime = runtime();
    let builder = gthread::Builder::new().name("a\0b".into());
    let named = builder.spawn_on(&runtime, || gthread::current().name().map(String::from)).unwrap();
    assert_eq!(named.join().unwrap().as_deref(), Some("a\0b"));
    runtime.shutdown();
}
