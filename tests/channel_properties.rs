//! Channels against a model: sequences of operations on a `VecDeque`, by proptest; and random
//! mixtures of everything at once, from a seed that is printed.
#![cfg(not(gthread_lean))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Count, Random, on_each_carrier};
use gthread::channel::{
    Receiver, Select, Sender, TryRecvError, TrySendError, bounded, never, unbounded,
};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;

/// What is done to a pair of channels.
#[derive(Clone, Debug)]
enum Step {
    TrySend(usize, u8),
    TryRecv(usize),
    /// A select over both receivers, or over both senders.
    SelectRecv,
    SelectSend(u8),
    Len(usize),
    Iterate(usize),
    DropSender(usize),
    DropReceiver(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..2_usize;
    prop_oneof![
        6 => (which.clone(), any::<u8>()).prop_map(|(i, value)| Step::TrySend(i, value)),
        6 => which.clone().prop_map(Step::TryRecv),
        3 => Just(Step::SelectRecv),
        3 => any::<u8>().prop_map(Step::SelectSend),
        2 => which.clone().prop_map(Step::Len),
        1 => which.clone().prop_map(Step::Iterate),
        1 => which.clone().prop_map(Step::DropSender),
        1 => which.prop_map(Step::DropReceiver),
    ]
}

/// A channel and what should be in it.
struct Pair {
    capacity: Option<usize>,
    s: Option<Sender<u8>>,
    r: Option<Receiver<u8>>,
    values: VecDeque<u8>,
}

impl Pair {
    fn new(capacity: Option<usize>) -> Self {
        let (s, r) = capacity.map_or_else(unbounded, bounded);
        Self { capacity, s: Some(s), r: Some(r), values: VecDeque::new() }
    }

    fn has_room(&self) -> bool {
        self.capacity.is_none_or(|capacity| self.values.len() < capacity)
    }

    fn try_send(&mut self, value: u8) {
        let Some(s) = &self.s else { return };
        let expected = match (self.r.is_some(), self.has_room()) {
            (false, _) => Err(TrySendError::Disconnected(value)),
            (true, false) => Err(TrySendError::Full(value)),
            (true, true) => Ok(()),
        };
        assert_eq!(s.try_send(value), expected);
        if expected.is_ok() {
            self.values.push_back(value);
        }
    }

    fn try_recv(&mut self) {
        let Some(r) = &self.r else { return };
        let expected = match (self.values.pop_front(), self.s.is_some()) {
            (Some(value), _) => Ok(value),
            (None, true) => Err(TryRecvError::Empty),
            (None, false) => Err(TryRecvError::Disconnected),
        };
        assert_eq!(r.try_recv(), expected);
    }

    fn check(&self) {
        // A channel that nobody can receive from may have dropped what was in it.
        let (Some(r), len) = (&self.r, self.values.len()) else { return };
        assert_eq!((r.len(), r.is_empty()), (len, len == 0));
        assert_eq!(r.is_full(), self.capacity == Some(len));
    }
}

fn select_recv(pairs: &mut [Pair; 2]) {
    let nobody = never();
    let ready = pairs
        .each_ref()
        .map(|pair| pair.r.is_some() && (!pair.values.is_empty() || pair.s.is_none()));
    let (which, received) = {
        let [r0, r1] = pairs.each_ref().map(|pair| pair.r.as_ref().unwrap_or(&nobody));
        gthread::select! {
            recv(r0) -> value => (0, value.ok()),
            recv(r1) -> value => (1, value.ok()),
            default => return assert_eq!(ready, [false; 2]),
        }
    };
    assert!(ready[which]);
    assert_eq!(received, pairs[which].values.pop_front());
}

fn select_send(pairs: &mut [Pair; 2], value: u8) {
    let ready =
        pairs.each_ref().map(|pair| pair.s.is_some() && (pair.r.is_none() || pair.has_room()));
    let mut select = Select::new();
    let indices = pairs.each_ref().map(|pair| pair.s.as_ref().map(|s| select.send(s)));
    let Ok(operation) = select.try_select() else { return assert_eq!(ready, [false; 2]) };
    let which = indices.iter().position(|i| *i == Some(operation.index())).unwrap();
    assert!(ready[which]);
    let sent = operation.send(pairs[which].s.as_ref().unwrap(), value);
    assert_eq!(sent.is_ok(), pairs[which].r.is_some());
    if sent.is_ok() {
        pairs[which].values.push_back(value);
    }
}

fn take(pairs: &mut [Pair; 2], step: Step) {
    match step {
        Step::TrySend(i, value) => pairs[i].try_send(value),
        Step::TryRecv(i) => pairs[i].try_recv(),
        Step::SelectRecv => select_recv(pairs),
        Step::SelectSend(value) => select_send(pairs, value),
        Step::Len(i) => pairs[i].check(),
        Step::Iterate(i) => {
            let pair = &mut pairs[i];
            let Some(r) = &pair.r else { return };
            assert!(r.try_iter().eq(pair.values.drain(..)));
        }
        Step::DropSender(i) => pairs[i].s = None,
        Step::DropReceiver(i) => pairs[i].r = None,
    }
}

proptest! {
    /// Whatever one thread does, a channel is a queue with a capacity and two ends.
    #[test]
    fn a_channel_is_a_queue(
        capacities in prop::array::uniform2(prop_oneof![
            Just(Some(0)), Just(Some(1)), Just(Some(2)), Just(Some(5)), Just(None)
        ]),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut pairs = capacities.map(Pair::new);
        for step in steps {
            take(&mut pairs, step);
        }
    }
}

/// One thread of the mixture: sends or receives `share` values in every way there is.
fn send_some(channels: &[(Sender<Token>, Receiver<Token>)], mut random: Random, tokens: &Count) {
    for _ in 0..200 {
        let (s, _) = &channels[random.below(channels.len() as u64) as usize];
        let mut token = Some(tokens.one());
        while let Some(unsent) = token.take() {
            let timeout = Duration::from_micros(random.below(40));
            token = match random.below(4) {
                0 => s.try_send(unsent).err().map(|error| error.into_inner()),
                1 => s.send_timeout(unsent, timeout).err().map(|error| error.into_inner()),
                2 => s.send(unsent).err().map(|error| error.into_inner()),
                _ => send_by_select(channels, unsent, timeout),
            };
        }
    }
}

type Token = common::Counted;

fn send_by_select(
    channels: &[(Sender<Token>, Receiver<Token>)],
    token: Token,
    timeout: Duration,
) -> Option<Token> {
    let mut select = Select::new();
    for (s, _) in channels {
        select.send(s);
    }
    match select.select_timeout(timeout) {
        Ok(operation) => {
            let index = operation.index();
            operation.send(&channels[index].0, token).err().map(|error| error.into_inner())
        }
        Err(_) => Some(token),
    }
}

fn receive_some(receivers: &[Receiver<Token>], mut random: Random) -> usize {
    let mut received = 0;
    let mut open: Vec<&Receiver<Token>> = receivers.iter().collect();
    while !open.is_empty() {
        let which = random.below(open.len() as u64) as usize;
        let timeout = Duration::from_micros(random.below(40));
        let outcome = match random.below(3) {
            0 => open[which].try_recv().map_err(|error| error.is_disconnected()),
            1 => open[which].recv_timeout(timeout).map_err(|error| error.is_disconnected()),
            _ => {
                let mut select = Select::new();
                for r in &open {
                    select.recv(r);
                }
                match select.select_timeout(timeout) {
                    Ok(operation) => {
                        let index = operation.index();
                        // A disconnect is found again by the plain operations.
                        operation.recv(open[index]).map_err(|_| false)
                    }
                    Err(_) => Err(false),
                }
            }
        };
        match outcome {
            Ok(_) => received += 1,
            Err(true) => drop(open.remove(which)),
            Err(false) => {}
        }
    }
    received
}

/// Everything at once on four channels: nothing is lost, doubled, or left waiting.
#[test]
fn a_mixture_of_everything_loses_nothing() {
    on_each_carrier("a_mixture_of_everything_loses_nothing", || {
        let mut random = Random::new("a_mixture_of_everything_loses_nothing");
        let tokens = Count::default();
        let channels: Vec<_> = [Some(0), Some(1), Some(3), None]
            .map(|capacity| capacity.map_or_else(unbounded, bounded))
            .into();
        let receivers: Vec<_> = (0..4)
            .map(|i| {
                let receivers: Vec<_> = channels.iter().map(|(_, r)| r.clone()).collect();
                let random = random.fork();
                let receive = move || receive_some(&receivers, random);
                // One of them is an OS thread.
                if i == 0 { Err(std::thread::spawn(receive)) } else { Ok(gthread::spawn(receive)) }
            })
            .collect();
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let (channels, random, tokens) = (channels.clone(), random.fork(), tokens.clone());
                gthread::spawn(move || send_some(&channels, random, &tokens))
            })
            .collect();
        drop(channels);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let received: usize = receivers
            .into_iter()
            .map(|receiver| match receiver {
                Ok(green) => green.join().unwrap(),
                Err(thread) => thread.join().unwrap(),
            })
            .sum();
        assert_eq!(received, 4 * 200);
        tokens.wait_for_none();
    });
}
