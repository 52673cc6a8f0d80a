//! Peers whose futures wait: tokio and smol.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Futures;

const ENDS: &str = "no workload panics";

/// tokio's multi-thread runtime.
#[derive(Debug)]
pub(crate) struct Tokio;

/// tokio's join handle with the panic carried over, as the others do.
#[derive(Debug)]
pub(crate) struct TokioHandle<T>(tokio::task::JoinHandle<T>);

impl<T> Future for TokioHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(context).map(|result| result.expect(ENDS))
    }
}

impl Futures for Tokio {
    type Handle<T: Send + 'static> = TokioHandle<T>;

    fn run<T: Send + 'static>(
        processors: usize,
        main: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(processors)
            .enable_time()
            .build()
            .expect("tokio starts on this machine");
        runtime.block_on(async { Self::spawn(main).await })
    }
    fn spawn<T: Send + 'static>(f: impl Future<Output = T> + Send + 'static) -> Self::Handle<T> {
        TokioHandle(tokio::spawn(f))
    }
    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }
    async fn timeout(limit: Duration, inner: impl Future<Output = ()> + Send) {
        tokio::time::timeout(limit, inner).await.expect("the deadline is far");
    }
    fn blocking<T: Send + 'static>(
        f: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        TokioHandle(tokio::task::spawn_blocking(f))
    }
}

/// smol's global executor; its number of threads comes from `SMOL_THREADS`.
#[derive(Debug)]
pub(crate) struct Smol;

impl Futures for Smol {
    type Handle<T: Send + 'static> = smol::Task<T>;

    fn run<T: Send + 'static>(_: usize, main: impl Future<Output = T> + Send + 'static) -> T {
        smol::block_on(Self::spawn(main))
    }
    fn spawn<T: Send + 'static>(f: impl Future<Output = T> + Send + 'static) -> Self::Handle<T> {
        smol::spawn(f)
    }
    fn yield_now() -> impl Future<Output = ()> + Send {
        smol::future::yield_now()
    }
    async fn sleep(duration: Duration) {
        smol::Timer::after(duration).await;
    }
    async fn timeout(limit: Duration, inner: impl Future<Output = ()> + Send) {
        let late = async {
            smol::Timer::after(limit).await;
        };
        smol::future::or(inner, late).await;
    }
    fn blocking<T: Send + 'static>(
        f: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        smol::unblock(f)
    }
}
