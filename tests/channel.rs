//! Channels: what each kind promises, on every carrier; many tests mirror Go's channel tests.
//!
//! "Mirrors" names a test of Go's `runtime/chan_test.go` or a program of its `test/chan`; the
//! semantics are theirs, the words ours.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Count, on_each_carrier, runtime, watch};
use gthread::channel::{
    Receiver, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError, after, at,
    bounded, never, tick, unbounded,
};
use std::time::{Duration, Instant};

/// A channel of so many places; `None`: unbounded.
fn channel<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    capacity.map_or_else(unbounded, bounded)
}

const CAPACITIES: [Option<usize>; 5] = [Some(0), Some(1), Some(3), Some(100), None];

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(2);

/// Lets others run until `done` says so.
fn yield_until(done: impl Fn() -> bool) {
    while !done() {
        gthread::yield_now();
    }
}

/// Mirrors TestChan: a receiver waits until something is sent; try_recv never waits.
#[test]
fn receiving_from_an_empty_channel_waits() {
    on_each_carrier("receiving_from_an_empty_channel_waits", || {
        for capacity in CAPACITIES {
            let (s, r) = channel(capacity);
            assert_eq!(r.try_recv(), Err(TryRecvError::Empty));
            let receiver = gthread::spawn(move || r.recv());
            assert!(!receiver.is_finished());
            s.send(7).unwrap();
            assert_eq!(receiver.join().unwrap(), Ok(7));
        }
    });
}

/// Mirrors TestChan: a sender waits while the channel is full; try_send never waits.
#[test]
fn sending_to_a_full_channel_waits() {
    on_each_carrier("sending_to_a_full_channel_waits", || {
        for capacity in [0, 1, 3] {
            let (s, r) = bounded(capacity);
            (0..capacity).for_each(|i| s.send(i).unwrap());
            assert_eq!(s.try_send(capacity), Err(TrySendError::Full(capacity)));
            let sender = gthread::spawn(move || s.send(capacity));
            (0..=capacity).for_each(|i| assert_eq!(r.recv(), Ok(i)));
            assert_eq!(sender.join().unwrap(), Ok(()));
        }
    });
}

/// Mirrors TestChan: what lies in the channel is received after its senders are gone.
#[test]
fn a_disconnected_channel_is_drained() {
    on_each_carrier("a_disconnected_channel_is_drained", || {
        for capacity in [Some(3), None] {
            let (s, r) = channel(capacity);
            (0..3).for_each(|i| s.send(i).unwrap());
            drop(s);
            assert_eq!(r.iter().collect::<Vec<_>>(), [0, 1, 2]);
            assert_eq!(r.try_recv(), Err(TryRecvError::Disconnected));
        }
    });
}

/// Mirrors TestChan: the end of a channel wakes all who wait, on either side.
#[test]
fn a_disconnect_wakes_everybody() {
    on_each_carrier("a_disconnect_wakes_everybody", || {
        for capacity in CAPACITIES {
            let (s, r) = channel::<i32>(capacity);
            let receivers: Vec<_> = (0..20)
                .map(|_| {
                    let r = r.clone();
                    gthread::spawn(move || assert!(r.recv().is_err()))
                })
                .collect();
            gthread::yield_now();
            drop(s);
            receivers.into_iter().for_each(|thread| thread.join().unwrap());
        }
        for capacity in [0, 1] {
            let (s, r) = bounded(capacity);
            (0..capacity).for_each(|_| s.send(0).unwrap());
            let senders: Vec<_> = (0..20)
                .map(|i| {
                    let s = s.clone();
                    gthread::spawn(move || assert_eq!(s.send(i).unwrap_err().into_inner(), i))
                })
                .collect();
            gthread::yield_now();
            drop(r);
            senders.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}

/// Mirrors TestChan and `fifo`: 100 values come out in the order in which they went in.
#[test]
fn one_sender_and_one_receiver_keep_the_order() {
    on_each_carrier("one_sender_and_one_receiver_keep_the_order", || {
        for capacity in CAPACITIES {
            let (s, r) = channel(capacity);
            let sender = gthread::spawn(move || (0..100).for_each(|i| s.send(i).unwrap()));
            assert!(r.iter().eq(0..100));
            sender.join().unwrap();
        }
    });
}

/// Mirrors TestChan: four senders of the same values, four receivers: each value four times.
#[test]
fn four_by_four_lose_and_double_nothing() {
    const VALUES: usize = 1000;
    on_each_carrier("four_by_four_lose_and_double_nothing", || {
        for capacity in CAPACITIES {
            let (s, r) = channel(capacity);
            let senders = [(); 4].map(|()| {
                let s = s.clone();
                gthread::spawn(move || (0..VALUES).for_each(|i| s.send(i).unwrap()))
            });
            drop(s);
            let receivers = [(); 4].map(|()| {
                let r = r.clone();
                gthread::spawn(move || r.iter().collect::<Vec<usize>>())
            });
            let mut counts = vec![0; VALUES];
            for receiver in receivers {
                receiver.join().unwrap().into_iter().for_each(|i| counts[i] += 1);
            }
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            assert!(counts.iter().all(|&count| count == 4));
        }
    });
}

/// Mirrors TestChan: length and capacity.
#[test]
fn lengths_and_capacities_are_told() {
    for capacity in CAPACITIES {
        let (s, r) = channel(capacity);
        assert_eq!((s.capacity(), r.capacity()), (capacity, capacity));
        assert_eq!((s.len(), r.len(), s.is_empty(), r.is_empty()), (0, 0, true, true));
        let room = capacity.unwrap_or(5);
        assert_eq!(s.is_full(), room == 0);
        for i in 1..=room {
            s.send(i).unwrap();
            assert_eq!((s.len(), r.len()), (i, i));
        }
        assert_eq!(s.is_full(), capacity.is_some());
        assert_eq!(r.is_full(), capacity.is_some());
        assert_eq!(s.is_empty(), room == 0);
    }
}

/// Mirrors TestNonblockRecvRace: a value that lies there is seen, whatever the channel's end does.
#[test]
fn a_value_is_seen_beside_a_disconnect() {
    on_each_carrier("a_value_is_seen_beside_a_disconnect", || {
        for capacity in [Some(1), None] {
            for _ in 0..500 {
                let (s, r) = channel(capacity);
                s.send(1).unwrap();
                let receiver = gthread::spawn(move || r.try_recv());
                drop(s);
                assert_eq!(receiver.join().unwrap(), Ok(1));
            }
        }
    });
}

/// Mirrors TestMultiConsumer: many receivers, count and sum are kept across the end.
#[test]
fn many_receivers_share_everything() {
    const RECEIVERS: usize = 23;
    const VALUES: u64 = 20_000;
    on_each_carrier("many_receivers_share_everything", || {
        let (s, r) = bounded(RECEIVERS);
        let (results, all) = bounded(RECEIVERS);
        for _ in 0..RECEIVERS {
            let (r, results) = (r.clone(), results.clone());
            gthread::spawn(move || {
                for value in r {
                    if value % 17 == 0 {
                        gthread::yield_now();
                    }
                    results.send(value).unwrap();
                }
            });
        }
        drop((r, results));
        gthread::spawn(move || (0..VALUES).for_each(|i| s.send(i).unwrap()));
        let (count, sum) = all.iter().fold((0, 0), |(count, sum), i| (count + 1, sum + i));
        assert_eq!((count, sum), (VALUES, VALUES * (VALUES - 1) / 2));
    });
}

/// Mirrors TestChanSendBarrier: what was written before a send is seen after its receive.
#[test]
fn a_send_publishes_what_was_written_before() {
    on_each_carrier("a_send_publishes_what_was_written_before", || {
        for capacity in CAPACITIES {
            let (s, r) = channel(capacity);
            let sender = gthread::spawn(move || {
                for i in 0..2000_u64 {
                    s.send(Box::new([i; 16])).unwrap();
                }
            });
            for (i, value) in r.iter().enumerate() {
                assert_eq!(*value, [i as u64; 16]);
            }
            sender.join().unwrap();
        }
    });
}

/// Mirrors `goroutines`: a daisy chain of 10,000 is torn down by one send.
#[test]
fn a_daisy_chain_passes_one_value_through() {
    on_each_carrier("a_daisy_chain_passes_one_value_through", || {
        let links = if cfg!(debug_assertions) { 1000 } else { 10_000 };
        let (first, mut last) = bounded(0);
        for _ in 0..links {
            let (s, r) = bounded(0);
            let before = std::mem::replace(&mut last, r);
            gthread::spawn(move || s.send(before.recv().unwrap() + 1).unwrap());
        }
        first.send(0).unwrap();
        assert_eq!(last.recv(), Ok(links));
    });
}

/// Mirrors `sieve1`: the primes below 300 by a chain of filters.
#[test]
fn a_sieve_of_filters_finds_the_primes() {
    on_each_carrier("a_sieve_of_filters_finds_the_primes", || {
        let (s, mut numbers) = bounded(0);
        gthread::spawn(move || (2..300).try_for_each(|i| s.send(i)));
        let mut primes = Vec::new();
        while let Ok(prime) = numbers.recv() {
            primes.push(prime);
            let (s, r) = bounded(0);
            let unfiltered = std::mem::replace(&mut numbers, r);
            gthread::spawn(move || {
                unfiltered.iter().filter(|i| i % prime != 0).try_for_each(|i| s.send(i))
            });
        }
        assert_eq!((primes.len(), primes.last()), (62, Some(&293)));
    });
}

/// Mirrors `zerosize`: values without a size, and values that are large.
#[test]
fn values_of_any_size_pass() {
    for capacity in CAPACITIES {
        runtime(2).run(|| {
            let (s, r) = channel(capacity);
            gthread::spawn(move || (0..100).for_each(|_| s.send(()).unwrap()));
            assert_eq!(r.iter().count(), 100);
            let (s, r) = channel(capacity);
            gthread::spawn(move || (0..20_u8).for_each(|i| s.send([i; 5000]).unwrap()));
            assert!(r.iter().zip(0..20_u8).all(|(value, i)| value == [i; 5000]));
        });
    }
}

/// Every value is dropped once: received, refused, timed out, left in the channel.
#[test]
fn every_value_is_dropped_once() {
    on_each_carrier("every_value_is_dropped_once", || {
        let count = Count::default();
        for capacity in CAPACITIES {
            let (s, r) = channel(capacity);
            let sender = {
                let (s, count) = (s.clone(), count.clone());
                gthread::spawn(move || (0..200).for_each(|_| s.send(count.one()).unwrap()))
            };
            (0..200).for_each(|_| drop(r.recv().unwrap()));
            sender.join().unwrap();
            while s.try_send(count.one()).is_ok() && s.len() < 70 {}
            let late = s.send_timeout(count.one(), SHORT);
            drop(late);
            drop(r);
            assert!(s.send(count.one()).is_err());
        }
        count.wait_for_none();
    });
}

/// An unbounded channel without receivers keeps nothing, though a sender is left.
#[test]
fn the_last_receiver_drops_what_is_left() {
    let count = Count::default();
    let (s, r) = unbounded();
    (0..100).for_each(|_| s.send(count.one()).unwrap());
    drop(r);
    assert_eq!(count.alive(), 0);
    drop(s);
}

/// Timeouts are never early, and leave nothing behind in the channel.
#[test]
fn timeouts_are_not_early_and_leave_nothing() {
    on_each_carrier("timeouts_are_not_early_and_leave_nothing", || {
        for capacity in CAPACITIES {
            let (s, r) = channel::<i32>(capacity);
            let start = Instant::now();
            assert_eq!(r.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
            assert!(start.elapsed() >= SHORT);
            assert_eq!(r.recv_deadline(start), Err(RecvTimeoutError::Timeout));
            (0..capacity.unwrap_or(0)).for_each(|i| s.send(i as i32).unwrap());
            if capacity.is_some() {
                let start = Instant::now();
                assert_eq!(s.send_timeout(7, SHORT), Err(SendTimeoutError::Timeout(7)));
                assert!(start.elapsed() >= SHORT);
            }
            // A waiter that was left behind would take this.
            (0..capacity.unwrap_or(0)).for_each(|i| assert_eq!(r.recv(), Ok(i as i32)));
            let sender = gthread::spawn(move || s.send(8));
            assert_eq!(r.recv_timeout(LONG), Ok(8));
            assert_eq!(sender.join().unwrap(), Ok(()));
        }
    });
}

/// A deadline and a partner race: the value has one owner, whoever wins.
#[test]
fn a_value_meets_its_deadline() {
    on_each_carrier("a_value_meets_its_deadline", || {
        let count = Count::default();
        let (s, r) = bounded(0);
        let sender = {
            let count = count.clone();
            gthread::spawn(move || {
                let micros = (0..300).map(|i| Duration::from_micros(i % 50));
                micros.filter(|&d| s.send_timeout(count.one(), d).is_ok()).count()
            })
        };
        let mut received = 0;
        loop {
            match r.recv_timeout(Duration::from_micros(20)) {
                Ok(_) => received += 1,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        assert_eq!(sender.join().unwrap(), received);
        count.wait_for_none();
    });
}

/// An enclosing `time::timeout` ends waits with a timeout of their own, and no others.
#[test]
fn an_inherited_deadline_ends_timed_waits() {
    on_each_carrier("an_inherited_deadline_ends_timed_waits", || {
        let (s, r) = bounded::<i32>(0);
        gthread::time::timeout(SHORT, || {
            assert_eq!(r.recv_timeout(LONG), Err(RecvTimeoutError::Timeout));
            assert_eq!(s.send_timeout(1, LONG), Err(SendTimeoutError::Timeout(1)));
            let sender = {
                let s = s.clone();
                gthread::spawn(move || {
                    gthread::sleep(SHORT);
                    s.send(2).unwrap();
                })
            };
            assert_eq!(r.recv(), Ok(2));
            sender.join().unwrap();
        });
    });
}

/// OS threads, and green threads of two runtimes, at the ends of the same channels.
#[test]
fn os_threads_and_two_runtimes_share_a_channel() {
    const VALUES: usize = 2000;
    let _dog = watch("os_threads_and_two_runtimes_share_a_channel");
    let runtimes = [runtime(1), runtime(2)];
    for capacity in CAPACITIES {
        let (s, r) = channel(capacity);
        let (sums, all) = unbounded();
        let send = |s: Sender<usize>| (0..VALUES).for_each(|i| s.send(i).unwrap());
        for runtime in &runtimes {
            let (s, r, sums) = (s.clone(), r.clone(), sums.clone());
            runtime.spawn(move || send(s));
            runtime.spawn(move || sums.send(r.iter().sum::<usize>()));
        }
        {
            let (s, r, sums) = (s.clone(), r.clone(), sums.clone());
            std::thread::spawn(move || send(s));
            std::thread::spawn(move || sums.send(r.iter().sum::<usize>()));
        }
        drop((s, r, sums));
        assert_eq!(all.iter().sum::<usize>(), 3 * VALUES * (VALUES - 1) / 2);
    }
    runtimes.iter().for_each(gthread::Runtime::shutdown);
}

/// A handle's count: clones keep a channel connected, each side on its own.
#[test]
fn the_last_clone_disconnects() {
    for capacity in CAPACITIES {
        let (s, r) = channel::<()>(capacity);
        let (s2, r2) = (s.clone(), r.clone());
        assert!(s.same_channel(&s2) && r.same_channel(&r2));
        assert!(!s.same_channel(&channel(capacity).0));
        drop(s);
        assert_eq!(r.try_recv(), Err(TryRecvError::Empty));
        drop((s2, r));
        assert_eq!(r2.try_recv(), Err(TryRecvError::Disconnected));
    }
}

/// Mirrors TestAfterQueuing: timed channels deliver in the order of their times.
#[test]
fn timed_channels_deliver_when_they_are_due() {
    on_each_carrier("timed_channels_deliver_when_they_are_due", || {
        let start = Instant::now();
        let due = start + SHORT;
        let r = at(due);
        // It is empty before its time and full after it, whenever the look falls.
        let (before, len, after_it) = (Instant::now() >= due, r.len(), Instant::now() >= due);
        assert!((usize::from(before)..=usize::from(after_it)).contains(&len), "{len}");
        assert_eq!(r.capacity(), Some(1));
        assert_eq!(r.recv(), Ok(due));
        assert!(Instant::now() >= due);
        assert_eq!(r.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(r.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
        // By one look at the clock: between two of them any time may pass.
        let start = Instant::now();
        assert!(after(SHORT).recv().unwrap() >= start + SHORT);
        let receivers = [3_u64, 1, 2].map(|i| (i, at(start + SHORT * i as u32)));
        let (s, order) = unbounded();
        for (i, r) in receivers {
            let s = s.clone();
            gthread::spawn(move || s.send((r.recv().unwrap(), i)).unwrap());
        }
        drop(s);
        let mut order: Vec<_> = order.iter().collect();
        order.sort_unstable();
        assert_eq!(order.iter().map(|(_, i)| *i).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(never::<()>().recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    });
}

/// Mirrors TestTicker and TestTimerChan: ticks are not early, do not pile up, and go to one of
/// several receivers.
#[test]
fn ticks_do_not_pile_up() {
    on_each_carrier("ticks_do_not_pile_up", || {
        let start = Instant::now();
        let r = tick(SHORT);
        for i in 1..=5 {
            let due = r.recv().unwrap();
            assert!(due >= start + SHORT * i && Instant::now() >= due);
        }
        gthread::sleep(SHORT * 5);
        assert_eq!(r.len(), 1);
        assert!(r.try_recv().is_ok());
        let other = r.clone();
        let thread = gthread::spawn(move || other.recv().unwrap());
        assert_ne!(r.recv().unwrap(), thread.join().unwrap());
    });
}

/// A green thread that waits on a channel is woken while others compute.
#[test]
fn a_receiver_on_its_own_is_woken_by_many() {
    on_each_carrier("a_receiver_on_its_own_is_woken_by_many", || {
        let (s, r) = bounded(0);
        let senders: Vec<_> = (0..100)
            .map(|i| {
                let s = s.clone();
                gthread::spawn(move || s.send(i).unwrap())
            })
            .collect();
        yield_until(|| r.try_recv().is_ok());
        assert_eq!((0..99).filter_map(|_| r.recv().ok()).count(), 99);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}
