//! Models of the monitor's word, by loom; run as those of the wait word are.
//!
//! What is looked at are relaxed flags: a list under a lock would order the two sides by itself
//! and hide a missing fence.
//!
// MUTANT: watch.poke.fence KILLED-BY sched::watch_model::whoever_takes_a_processor_up_keeps_the_monitor_awake
// MUTANT: watch.deep.fence KILLED-BY sched::watch_model::whoever_takes_a_processor_up_keeps_the_monitor_awake
// MUTANT: watch.wake.fence KILLED-BY sched::watch_model::news_is_seen_before_the_monitor_sleeps
// MUTANT: watch.news.fence KILLED-BY sched::watch_model::news_is_seen_before_the_monitor_sleeps

use super::watch::Watch;
use crate::primitive::model::check;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

struct Fixture {
    watch: Watch,
    news: AtomicU32,
    in_use: AtomicU32,
}

impl Fixture {
    fn new() -> Arc<Self> {
        Arc::new(Self { watch: Watch::new(), news: AtomicU32::new(0), in_use: AtomicU32::new(0) })
    }

    fn has(word: &AtomicU32) -> bool {
        word.load(Ordering::Relaxed) != 0
    }

    fn leave_news(&self) {
        self.news.store(1, Ordering::Relaxed);
        self.watch.wake();
    }

    fn take_up(&self) {
        self.in_use.store(1, Ordering::Relaxed);
        self.watch.poke();
    }
}

fn spawn(fixture: &Arc<Fixture>, part: fn(&Fixture)) -> thread::JoinHandle<()> {
    let fixture = Arc::clone(fixture);
    thread::spawn(move || part(&fixture))
}

/// NewsIsSeen: the monitor sleeps for ever between two looks, and sees the news all the same. One
/// wake more, for something else, must not hide it.
#[test]
fn news_is_seen_before_the_monitor_sleeps() {
    check(|| {
        let fixture = Fixture::new();
        let threads = [spawn(&fixture, Fixture::leave_news), spawn(&fixture, |f| f.watch.wake())];
        loop {
            fixture.watch.take_news();
            if Fixture::has(&fixture.news) {
                break;
            }
            fixture.watch.sleep(None);
        }
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
}

/// NobodyRunsUnseen: a machine takes a processor up while the monitor goes to sleep deeply.
#[test]
fn whoever_takes_a_processor_up_keeps_the_monitor_awake() {
    check(|| {
        let fixture = Fixture::new();
        let machine = spawn(&fixture, Fixture::take_up);
        loop {
            fixture.watch.take_news();
            if Fixture::has(&fixture.in_use) {
                break;
            }
            fixture.watch.deep_sleep(|| !Fixture::has(&fixture.in_use), None);
        }
        machine.join().expect("no panic");
    });
}

/// News reaches a monitor that sleeps deeply.
#[test]
fn news_ends_deep_sleep() {
    check(|| {
        let fixture = Fixture::new();
        let teller = spawn(&fixture, Fixture::leave_news);
        loop {
            fixture.watch.take_news();
            if Fixture::has(&fixture.news) {
                break;
            }
            fixture.watch.deep_sleep(|| true, None);
        }
        teller.join().expect("no panic");
    });
}
