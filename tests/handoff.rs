//! The processor is given away: by those who block without saying so, by those who compute, and
//! by those who lost it once and have another.

mod common;

use common::{runtime, watch};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Computes until the flag is set.
fn spin_until(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        std::hint::spin_loop();
    }
}

/// Computes for a while without entering the runtime.
fn compute(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
}

#[test]
fn a_hog_woken_by_a_timer_after_a_quiet_time_gives_its_processor_away() {
    for processors in [1, 2] {
        let _dog = watch("hog after quiet");
        let runtime = runtime(processors);
        runtime.run(|| {
            let flag = Arc::new(AtomicBool::new(false));
            let wake_at = Instant::now() + Duration::from_millis(300);
            let hogs: Vec<_> = (0..processors)
                .map(|_| {
                    let flag = flag.clone();
                    gthread::spawn(move || {
                        gthread::sleep_until(wake_at);
                        spin_until(&flag);
                    })
                })
                .collect();
            let setter = gthread::spawn(move || {
                gthread::sleep_until(wake_at + Duration::from_millis(2));
                flag.store(true, Ordering::Release);
            });
            setter.join().unwrap();
            hogs.into_iter().for_each(|hog| hog.join().unwrap());
        });
        runtime.shutdown();
    }
}

#[test]
fn a_hog_that_took_an_idle_processor_gives_it_away_again() {
    let _dog = watch("hog with an idle processor");
    let runtime = runtime(1);
    runtime.run(|| {
        // Blocking hands the processor off; when it ends all has been quiet for long, so that the
        // spawn below finds the processor idle and takes it.
        let hog = gthread::spawn(|| {
            gthread::blocking(|| std::thread::sleep(Duration::from_millis(300)));
            let flag = Arc::new(AtomicBool::new(false));
            let seen = flag.clone();
            let setter = gthread::spawn(move || seen.store(true, Ordering::Release));
            spin_until(&flag);
            setter.join().unwrap();
        });
        hog.join().unwrap();
    });
    runtime.shutdown();
}
