//! `select!` and `Select`: one case, the right one, and nothing lost; many tests mirror Go's.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Count, on_each_carrier, runtime, silence_panics_on_purpose, watch};
use gthread::channel::{
    Receiver, RecvError, Select, Sender, TryRecvError, after, bounded, never, tick, unbounded,
};
use gthread::{select, select_biased};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(2);

/// Mirrors TestNonblockSelectRace: at every instant one of two channels has a value.
#[test]
fn default_is_not_taken_while_one_is_ready() {
    on_each_carrier("default_is_not_taken_while_one_is_ready", || {
        for _ in 0..500 {
            let ((s1, r1), (s2, r2)) = (bounded(1), bounded(1));
            s1.send(()).unwrap();
            let chooser = {
                let (r1, r2) = (r1.clone(), r2.clone());
                gthread::spawn(move || {
                    select! {
                        recv(r1) -> _ => true,
                        recv(r2) -> _ => true,
                        default => false,
                    }
                })
            };
            s2.send(()).unwrap();
            let _taken_or_not = r1.try_recv();
            assert!(chooser.join().unwrap());
        }
    });
}

/// Mirrors TestNonblockSelectRace2: the same, where the second becomes ready by its end.
#[test]
fn default_is_not_taken_while_one_is_at_its_end() {
    on_each_carrier("default_is_not_taken_while_one_is_at_its_end", || {
        for _ in 0..500 {
            let ((s1, r1), (s2, r2)) = (bounded::<()>(1), bounded::<()>(0));
            s1.send(()).unwrap();
            let chooser = {
                let r1 = r1.clone();
                gthread::spawn(move || {
                    select! {
                        recv(r1) -> _ => true,
                        recv(r2) -> _ => true,
                        default => false,
                    }
                })
            };
            drop(s2);
            let _taken_or_not = r1.try_recv();
            assert!(chooser.join().unwrap());
        }
    });
}

/// Mirrors TestSelfSelect: two threads select to send and to receive on one channel.
#[test]
fn nobody_receives_its_own_value_without_a_buffer() {
    on_each_carrier("nobody_receives_its_own_value_without_a_buffer", || {
        for capacity in [0, 10] {
            let (s, r) = bounded(capacity);
            let threads = [0, 1].map(|me| {
                let (s, r) = (s.clone(), r.clone());
                gthread::spawn(move || {
                    for i in 0..500 {
                        if (i + me) % 2 == 0 {
                            select! {
                                send(s, me) -> sent => sent.unwrap(),
                                recv(r) -> other => assert!(capacity > 0 || other != Ok(me)),
                            }
                        } else {
                            select! {
                                recv(r) -> other => assert!(capacity > 0 || other != Ok(me)),
                                send(s, me) -> sent => sent.unwrap(),
                            }
                        }
                    }
                })
            });
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}

/// Mirrors TestSelectStress: four channels, eight plain threads, a select of all senders and one
/// of all receivers, as many operations on each; it comes to its end.
#[test]
fn plain_operations_and_selects_come_to_an_end() {
    const EACH: usize = 2000;
    on_each_carrier("plain_operations_and_selects_come_to_an_end", || {
        let channels = [0, 0, 2, 3].map(bounded::<usize>);
        let mut threads = Vec::new();
        for (s, r) in channels.clone() {
            threads.push(gthread::spawn(move || (0..EACH).for_each(|i| s.send(i).unwrap())));
            threads.push(gthread::spawn(move || (0..EACH).for_each(|_| assert!(r.recv().is_ok()))));
        }
        let [(s0, r0), (s1, r1), (s2, r2), (s3, r3)] = channels;
        threads.push(gthread::spawn(move || {
            let mut left = [EACH; 4];
            let nobody = never_sent();
            while left != [0; 4] {
                let open = |i: usize, s| if left[i] > 0 { s } else { &nobody.0 };
                let (o0, o1, o2, o3) = (open(0, &s0), open(1, &s1), open(2, &s2), open(3, &s3));
                let i = select! {
                    send(o0, 0) -> sent => { sent.unwrap(); 0 }
                    send(o1, 0) -> sent => { sent.unwrap(); 1 }
                    send(o2, 0) -> sent => { sent.unwrap(); 2 }
                    send(o3, 0) -> sent => { sent.unwrap(); 3 }
                };
                left[i] -= 1;
            }
        }));
        threads.push(gthread::spawn(move || {
            let mut left = [EACH; 4];
            let nobody = never();
            while left != [0; 4] {
                let open = |i: usize, r| if left[i] > 0 { r } else { &nobody };
                let (o0, o1, o2, o3) = (open(0, &r0), open(1, &r1), open(2, &r2), open(3, &r3));
                let i = select! {
                    recv(o0) -> value => value.map(|_| 0),
                    recv(o1) -> value => value.map(|_| 1),
                    recv(o2) -> value => value.map(|_| 2),
                    recv(o3) -> value => value.map(|_| 3),
                };
                left[i.unwrap()] -= 1;
            }
        }));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// A channel that nobody receives from, with the receiver that keeps it so.
fn never_sent() -> (Sender<usize>, Receiver<usize>) {
    bounded(0)
}

/// Mirrors TestSelectFairness and TestPseudoRandomSend: of two that are always ready each is
/// chosen about as often, also when they are the same channel.
#[test]
fn ready_cases_are_chosen_alike() {
    const ROUNDS: i32 = 10_000;
    let ((s1, r1), (s2, r2)) = (unbounded(), unbounded());
    (0..ROUNDS).for_each(|_| (s1.send(()).unwrap(), s2.send(()).unwrap()).0);
    let (_s3, r3) = bounded::<()>(1);
    let mut first = 0;
    for _ in 0..ROUNDS {
        select! {
            recv(r3) -> _ => unreachable!(),
            recv(r1) -> _ => first += 1,
            recv(never::<()>()) -> _ => unreachable!(),
            recv(r2) -> _ => {}
        }
    }
    // Ten standard deviations are 500.
    assert!((first - ROUNDS / 2).abs() < 500, "{first}");
    let (s, r) = unbounded();
    for _ in 0..ROUNDS {
        select! { send(s, 0) -> _ => (), send(s, 1) -> _ => () }
    }
    let ones: i32 = r.try_iter().sum();
    assert!((ones - ROUNDS / 2).abs() < 500, "{ones}");
}

/// A biased select takes the first that is ready.
#[test]
fn a_biased_select_keeps_its_order() {
    let ((s1, r1), (s2, r2)) = (unbounded(), unbounded());
    (0..100).for_each(|i| (s1.send(i).unwrap(), s2.send(i).unwrap()).0);
    let mut order = Vec::new();
    for _ in 0..200 {
        order.push(select_biased! { recv(r1) -> _ => 1, recv(r2) -> _ => 2 });
    }
    assert!(order[..100].iter().all(|&i| i == 1) && order[100..].iter().all(|&i| i == 2));
}

/// Mirrors TestSelectDuplicateChannel: losing waiters of a channel that is there twice are taken
/// out without harm to others.
#[test]
fn the_same_channel_twice_does_no_harm() {
    on_each_carrier("the_same_channel_twice_does_no_harm", || {
        let ((s, r), (other, gone)) = (bounded(0), bounded::<()>(0));
        let chooser = {
            let r = r.clone();
            gthread::spawn(move || {
                select! {
                    recv(r) -> _ => unreachable!(),
                    recv(r) -> _ => unreachable!(),
                    recv(gone) -> value => assert_eq!(value, Err(RecvError)),
                }
            })
        };
        let waiting = gthread::spawn(move || r.recv().unwrap());
        gthread::yield_now();
        drop(other);
        chooser.join().unwrap();
        s.send(7).unwrap();
        assert_eq!(waiting.join().unwrap(), 7);
    });
}

/// Mirrors `doubleselect`: no value is delivered by two cases of one select.
#[test]
fn no_value_is_delivered_twice() {
    const VALUES: usize = 5000;
    on_each_carrier("no_value_is_delivered_twice", || {
        let channels = [(); 4].map(|()| bounded(0));
        let [(s0, r0), (s1, r1), (s2, r2), (s3, r3)] = channels;
        gthread::spawn(move || {
            for i in 0..VALUES {
                select! {
                    send(s0, i) -> _ => (),
                    send(s1, i) -> _ => (),
                    send(s2, i) -> _ => (),
                    send(s3, i) -> _ => (),
                }
            }
        });
        let (all, merged) = unbounded();
        for r in [r0, r1, r2, r3] {
            let all = all.clone();
            gthread::spawn(move || r.iter().for_each(|i| all.send(i).unwrap()));
        }
        drop(all);
        let mut received: Vec<usize> = merged.iter().collect();
        received.sort_unstable();
        assert!(received.into_iter().eq(0..VALUES));
    });
}

/// Mirrors `select5`: handles are evaluated once and in order, the message of the chosen case only.
#[test]
fn operands_are_evaluated_once_and_in_order() {
    let log = std::cell::RefCell::new(Vec::new());
    let note = |text: &'static str| log.borrow_mut().push(text);
    let ((s1, _r1), (_s2, r2)) = (bounded(1), bounded::<i32>(1));
    let (full, _keep) = bounded(0);
    select! {
        recv({ note("receiver"); &r2 }) -> _ => unreachable!(),
        send({ note("sender"); &s1 }, { note("message"); 1 }) -> _ => note("code"),
        send({ note("full"); &full }, { note("never"); 1 }) -> _ => unreachable!(),
        default({ note("time"); SHORT }) => unreachable!(),
    }
    assert_eq!(*log.borrow(), ["receiver", "sender", "full", "time", "message", "code"]);
}

/// Mirrors `select6`: a case that loses at the end of a queue must not lose those behind it.
#[test]
fn waiters_behind_a_loser_are_served() {
    on_each_carrier("waiters_behind_a_loser_are_served", || {
        let ((s1, r1), (s2, r2)) = (bounded(0), bounded::<()>(0));
        let first = {
            let r1 = r1.clone();
            gthread::spawn(move || r1.recv().unwrap())
        };
        let loser = {
            let r1 = r1.clone();
            gthread::spawn(move || {
                select! { recv(r1) -> value => value.ok(), recv(r2) -> _ => None }
            })
        };
        let last = gthread::spawn(move || r1.recv().unwrap());
        gthread::yield_now();
        s2.send(()).unwrap_or(());
        let served: Vec<i32> = (0..2).filter(|&i| s1.send(i).is_ok()).collect();
        assert_eq!(served, [0, 1]);
        let lost = loser.join().unwrap();
        assert!(lost.is_none());
        assert_eq!(first.join().unwrap() + last.join().unwrap(), 1);
    });
}

/// Mirrors `select3`: what can be done at once is, what cannot be waits, or falls to `default`.
#[test]
fn what_can_be_done_is_done() {
    let (s0, r0) = bounded::<i32>(0);
    let (s1, r1) = bounded::<i32>(1);
    let done = |done: bool| done;
    assert!(!select! { send(s0, 1) -> _ => done(true), default => false });
    assert!(!select! { recv(r0) -> _ => done(true), default => false });
    assert!(!select! { recv(r1) -> _ => done(true), default() => false });
    assert!(select! { send(s1, 1) -> _ => done(true), default => false });
    assert!(!select! { send(s1, 1) -> _ => done(true), default => false });
    assert!(select! { recv(r1) -> value => value == Ok(1), default => false });
    // One thread is not two: it waits for itself in vain.
    assert!(!select! {
        send(s0, 1) -> _ => true,
        recv(r0) -> _ => true,
        default(SHORT) => false,
    });
    drop(s1);
    assert!(select! { recv(r1) -> value => value.is_err(), default => false });
    drop(r0);
    assert!(select! { send(s0, 1) -> sent => sent.is_err(), default => false });
    assert!(select! { default => true });
}

/// Timeouts of a select are not early; timed channels in a select wake it.
#[test]
fn a_select_keeps_time() {
    on_each_carrier("a_select_keeps_time", || {
        let (_s, r) = bounded::<()>(0);
        let start = Instant::now();
        select! { recv(r) -> _ => unreachable!(), default(SHORT) => () }
        assert!(start.elapsed() >= SHORT);
        let (ticker, end) = (tick(SHORT), after(SHORT * 5));
        let mut ticks = 0;
        loop {
            select! {
                recv(r) -> _ => unreachable!(),
                recv(ticker) -> _ => ticks += 1,
                recv(end) -> _ => break,
            }
        }
        // However late it runs: the sum of the times between ticks has passed.
        assert!(start.elapsed() >= SHORT * 6.max(1 + ticks));
        let inherited = gthread::time::timeout(SHORT, || {
            let mut select = Select::new();
            select.recv(&r);
            select.select_timeout(Duration::from_secs(3600)).is_err()
        });
        assert!(inherited);
    });
}

/// `ready` tells of a change and takes nothing; all who wait for it are told.
#[test]
fn all_who_watch_are_told() {
    on_each_carrier("all_who_watch_are_told", || {
        for capacity in [Some(0), Some(1), None] {
            let (s, r) = capacity.map_or_else(unbounded, bounded);
            let watchers = [(); 3].map(|()| {
                let r = r.clone();
                gthread::spawn(move || {
                    let mut select = Select::new();
                    select.recv(&r);
                    select.ready()
                })
            });
            gthread::yield_now();
            let sender = gthread::spawn(move || s.send(5));
            watchers.into_iter().for_each(|watcher| assert_eq!(watcher.join().unwrap(), 0));
            assert_eq!(r.recv(), Ok(5));
            sender.join().unwrap().unwrap();
        }
    });
}

/// More operations than are kept without an allocation; removing some of them.
#[test]
fn a_long_list_works_as_a_short_one() {
    on_each_carrier("a_long_list_works_as_a_short_one", || {
        let channels: Vec<_> = (0..30).map(|i| bounded(i % 2)).collect();
        let mut select = Select::new();
        for (_, r) in &channels {
            select.recv(r);
        }
        (0..10).for_each(|i| select.remove(i));
        for i in (10..30).rev() {
            let s: Sender<usize> = channels[i].0.clone();
            let sender = gthread::spawn(move || s.send(i));
            let operation = select.select();
            let index = operation.index();
            assert_eq!((index, operation.recv(&channels[index].1)), (i, Ok(i)));
            sender.join().unwrap().unwrap();
        }
    });
}

/// A message that panics gives the operation up: the receiver goes on waiting, nothing hangs.
#[test]
fn a_message_that_panics_is_not_waited_for() {
    silence_panics_on_purpose();
    on_each_carrier("a_message_that_panics_is_not_waited_for", || {
        for capacity in [Some(0), Some(1), None] {
            let (s, r) = capacity.map_or_else(unbounded, bounded);
            let receiver = gthread::spawn(move || r.recv());
            let sender = {
                let s = s.clone();
                gthread::spawn(move || {
                    let message = || -> i32 { panic!("on purpose") };
                    select! { send(s, message()) -> _ => () }
                })
            };
            assert!(sender.join().is_err());
            s.send(9).unwrap();
            assert_eq!(receiver.join().unwrap(), Ok(9));
        }
    });
}

/// An operation that is dropped is given up, and says so.
#[test]
fn an_operation_has_to_be_completed() {
    let (s, r) = bounded(2);
    let dropped = std::panic::catch_unwind(|| {
        let mut select = Select::new();
        select.send(&s);
        let operation = select.select();
        drop(operation);
    });
    assert!(dropped.is_err());
    s.send(1).unwrap();
    assert_eq!((r.try_recv(), r.try_recv()), (Ok(1), Err(TryRecvError::Empty)));
}

/// Selects and plain operations of OS threads and of green threads of two runtimes.
#[test]
fn os_threads_and_two_runtimes_select() {
    const VALUES: usize = 1000;
    let _dog = watch("os_threads_and_two_runtimes_select");
    let runtimes = [runtime(1), runtime(2)];
    let (s0, r0) = bounded(0);
    let (s1, r1) = bounded(1);
    let count = Count::default();
    let send = {
        let count = count.clone();
        move |s0: Sender<_>, s1: Sender<_>| {
            for _ in 0..VALUES {
                select! {
                    send(s0, count.one()) -> sent => sent.unwrap(),
                    send(s1, count.one()) -> sent => sent.unwrap(),
                }
            }
        }
    };
    let (done, all) = unbounded();
    let receive = move |r0: Receiver<_>, r1: Receiver<_>| {
        let mut received = 0;
        let (mut open0, mut open1) = (Some(r0), Some(r1));
        while open0.is_some() || open1.is_some() {
            let nobody = never();
            let (o0, o1) = (open0.as_ref(), open1.as_ref());
            let (o0, o1) = (o0.unwrap_or(&nobody), o1.unwrap_or(&nobody));
            let (which, value) = select! {
                recv(o0) -> value => (0, value),
                recv(o1) -> value => (1, value),
            };
            match (value, which) {
                (Ok(_), _) => received += 1,
                (Err(_), 0) => open0 = None,
                (Err(_), _) => open1 = None,
            }
        }
        done.send(received).unwrap();
    };
    for runtime in &runtimes {
        let (send, s0, s1) = (send.clone(), s0.clone(), s1.clone());
        runtime.spawn(move || send(s0, s1));
        let (receive, r0, r1) = (receive.clone(), r0.clone(), r1.clone());
        runtime.spawn(move || receive(r0, r1));
    }
    {
        let (send, s0, s1) = (send.clone(), s0.clone(), s1.clone());
        std::thread::spawn(move || send(s0, s1));
        let (receive, r0, r1) = (receive.clone(), r0.clone(), r1.clone());
        std::thread::spawn(move || receive(r0, r1));
    }
    drop((send, receive, s0, s1, r0, r1));
    assert_eq!(all.iter().sum::<usize>(), 3 * VALUES);
    runtimes.iter().for_each(gthread::Runtime::shutdown);
    count.wait_for_none();
}
