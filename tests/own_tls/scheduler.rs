//! The runtime under test.

pub(crate) use gthread::yield_now;

/// Runs `body` as a green thread on a runtime with that many processors, and waits for all.
pub(crate) fn run(processors: usize, body: fn()) {
    let runtime = gthread::Runtime::builder().processors(processors).build();
    let runtime = runtime.expect("green threads are supported here");
    runtime.run(body);
    runtime.shutdown();
}

/// Starts a green thread.
pub(crate) fn spawn(body: impl FnOnce() + Send + 'static) {
    gthread::spawn(body);
}
