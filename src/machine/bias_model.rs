//! Models of the bias, by loom; run as those of the wait word are.
//!
// MUTANT: bias.enter.fence KILLED-BY machine::bias_model::a_taken_processor_is_the_monitors_alone
// MUTANT: fence.heavy KILLED-BY machine::bias_model::a_taken_processor_is_the_monitors_alone
// MUTANT: bias.leave KILLED-BY machine::bias_model::a_taken_processor_is_the_monitors_alone
// MUTANT: bias.take.load KILLED-BY machine::bias_model::a_taken_processor_is_the_monitors_alone
// MUTANT: bias.take.check KILLED-BY machine::bias_model::a_taken_processor_is_the_monitors_alone
// MUTANT: bias.enter.slow EQUIVALENT: the exchange decides; `in_runtime` carries the state
// MUTANT: bias.take.exchange EQUIVALENT: as above; kept, for what a monitor may leave on TAKEN

use super::bias::{Bias, Tenure};
use super::parker::Parker;
use crate::primitive::fence;
use crate::primitive::model::{Shared, check};
use loom::sync::Arc;
use loom::thread;

/// A machine's bias and the state of the processor it holds.
struct Fixture {
    bias: Bias,
    /// Touched by the machine in the runtime, and by the monitor after a take.
    processor: Shared<u32>,
}

impl Fixture {
    fn new() -> Arc<Self> {
        let fixture = Self { bias: Bias::new(), processor: Shared::new(0) };
        fixture.bias.begin_tenure(0);
        Arc::new(fixture)
    }

    /// One round of the monitor; `true`: the processor is its own.
    fn revoke(&self) -> bool {
        if !self.bias.request(0) {
            return false;
        }
        fence::heavy();
        self.bias.take(0)
    }
}

/// OneHolder and SeesAll: the machine leaves and enters twice while the monitor asks once.
#[test]
fn a_taken_processor_is_the_monitors_alone() {
    check(|| {
        let fixture = Fixture::new();
        let monitor = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let taken = fixture.revoke();
                if taken {
                    fixture.processor.update(|stays| *stays += 100);
                }
                taken
            })
        };
        let mut stays = 0;
        let mut lost = 0;
        for _ in 0..2 {
            if lost == 0 {
                stays += 1;
                fixture.processor.update(|stays| *stays += 1);
            }
            fixture.bias.leave();
            lost += u32::from(fixture.bias.enter() == Tenure::Lost);
        }
        let taken = monitor.join().expect("no panic");
        if lost == 0 {
            // What is told at the next entry.
            lost += u32::from(fixture.bias.enter() == Tenure::Lost);
        }
        assert_eq!(lost, u32::from(taken), "a loss is told once");
        assert_eq!(fixture.processor.get(), stays + 100 * lost);
    });
}

/// Two rounds of the monitor: a request that was withdrawn, or answered by the machine, leaves
/// nothing behind that the next round could mistake for its own.
#[test]
fn a_second_round_takes_at_most_once() {
    check(|| {
        let fixture = Fixture::new();
        let monitor = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let taken = [fixture.revoke(), fixture.revoke()];
                if taken[0] || taken[1] {
                    fixture.processor.update(|stays| *stays += 100);
                }
                taken.iter().filter(|taken| **taken).count()
            })
        };
        fixture.processor.update(|stays| *stays += 1);
        fixture.bias.leave();
        let lost = fixture.bias.enter() == Tenure::Lost;
        if !lost {
            fixture.processor.update(|stays| *stays += 1);
        }
        let taken = monitor.join().expect("no panic");
        assert!(taken <= 1);
        assert_eq!(taken == 1, lost);
    });
}

/// Two processors, and a machine that goes from the first to the second: by itself, or because it
/// has lost the first.
struct TwoTenures {
    bias: Bias,
    processors: [Shared<u32>; 2],
}

impl TwoTenures {
    fn use_processor(&self, index: u32) {
        self.processors[index as usize].update(|uses| *uses += 1);
    }

    /// One round of the monitor about processor `index`.
    fn revoke(&self, index: u32) -> bool {
        if !self.bias.request(index) {
            return false;
        }
        fence::heavy();
        let taken = self.bias.take(index);
        if taken {
            self.use_processor(index);
        }
        taken
    }
}

/// OneHolder over two tenures: what the monitor asks of the first is never answered in the
/// second, and the second can be taken as the first could.
#[test]
fn a_take_is_of_the_processor_that_was_requested() {
    check(|| {
        let processors = [Shared::new(0), Shared::new(0)];
        let fixture = Arc::new(TwoTenures { bias: Bias::new(), processors });
        fixture.bias.begin_tenure(0);
        let monitor = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || [fixture.revoke(0), fixture.revoke(1)])
        };
        fixture.use_processor(0);
        fixture.bias.leave();
        let first = fixture.bias.enter() == Tenure::Lost;
        if !first {
            fixture.use_processor(0);
            fixture.bias.end_tenure();
        }
        fixture.bias.begin_tenure(1);
        fixture.use_processor(1);
        fixture.bias.leave();
        let second = fixture.bias.enter() == Tenure::Lost;
        if !second {
            fixture.use_processor(1);
        }
        assert_eq!(monitor.join().expect("no panic"), [first, second]);
    });
}

/// A machine that gives its processor up by itself, in `blocking` or for good: a request that is
/// under way takes nothing, and whoever is given the processor has it alone.
#[test]
fn a_release_and_a_take_do_not_both_give_the_processor_away() {
    check(|| {
        let fixture = Fixture::new();
        let released = Arc::new(Parker::new());
        let monitor = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let taken = fixture.revoke();
                if taken {
                    fixture.processor.update(|stays| *stays += 100);
                }
                taken
            })
        };
        let heir = {
            let (fixture, released) = (Arc::clone(&fixture), Arc::clone(&released));
            thread::spawn(move || {
                if released.receive(None) == Some(8) {
                    fixture.processor.update(|stays| *stays += 10);
                }
            })
        };
        fixture.bias.leave();
        let kept = fixture.bias.enter() == Tenure::Kept;
        if kept {
            fixture.bias.end_tenure();
        }
        released.send(if kept { 8 } else { 16 }, || {});
        fixture.bias.leave();
        heir.join().expect("no panic");
        let taken = monitor.join().expect("no panic");
        assert_eq!(taken, !kept);
        assert_eq!(fixture.bias.enter(), Tenure::Kept, "a loss is told once");
    });
}
