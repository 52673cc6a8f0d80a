//! The program of the README: a hundred thousand green threads, each asleep for ten milliseconds.
//! `cargo run --release --example hello -- <how many>`

#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::time::Duration;

fn main() {
    let count = std::env::args().nth(1).map_or(Ok(100_000), |count| count.parse::<u64>());
    let count = count.expect("the argument is a number of green threads");
    let sum: u64 = gthread::run(|| {
        let threads: Vec<_> = (0..count)
            .map(|n| {
                gthread::spawn(move || {
                    gthread::sleep(Duration::from_millis(10));
                    n
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum()
    });
    assert_eq!(sum, count * count.saturating_sub(1) / 2);
    println!("{count} green threads slept; the sum of their numbers is {sum}");
}
