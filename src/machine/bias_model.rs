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
use crate::primitive::fence;
use crate::primitive::model::{Shared, check};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

/// A machine's bias and the state of the processor it holds.
struct Fixture {
    bias: Bias,
    /// Touched by the machine in the runtime, and by the monitor after a take.
    processor: Shared<u32>,
}

impl Fixture {
    fn new() -> Arc<Self> {
        let bias = Bias::new();
        bias.begin_tenure(0);
        Arc::new(Self { bias, processor: Shared::new(0) })
    }

    /// One round of the monitor; `true`: the processor is its own.
    fn revoke(&self) -> bool {
        let _ = self.bias.request(0);
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

/// Two processors and a machine that goes from the first to the second, by itself or because it
/// has lost the first. What a take has taken is told by the processors' `holder`, if whoever ends
/// a tenure clears it: the machine that gives its processor up, or the monitor that takes it.
struct TwoTenures {
    bias: Bias,
    processors: [Shared<u32>; 2],
    /// Whether the machine is the processor's holder.
    holder: [AtomicBool; 2],
}

impl TwoTenures {
    fn use_processor(&self, index: usize) {
        self.processors[index].update(|uses| *uses += 1);
    }

    fn attach(&self, index: usize) {
        self.holder[index].store(true, Ordering::Release);
        self.use_processor(index);
    }

    /// The monitor, whose candidate is the first processor.
    fn round(&self) -> Option<usize> {
        if !self.holder[0].load(Ordering::Acquire) {
            return None;
        }
        let _ = self.bias.request(0);
        fence::heavy();
        if !self.bias.take(0) {
            return None;
        }
        // The candidate may be an old story: it is the holder words that name what was taken.
        let taken = usize::from(!self.holder[0].load(Ordering::Acquire));
        assert!(self.holder[taken].load(Ordering::Acquire), "took from a machine without one");
        self.holder[taken].store(false, Ordering::Release);
        self.use_processor(taken);
        Some(taken)
    }
}

/// OneHolder over two tenures: what the monitor asks of the first may be answered in the second.
#[test]
fn a_take_is_of_the_processor_whose_holder_the_machine_is() {
    check(|| {
        let fixture = Arc::new(TwoTenures {
            bias: Bias::new(),
            processors: [Shared::new(0), Shared::new(0)],
            holder: [AtomicBool::new(true), AtomicBool::new(false)],
        });
        let monitor = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || [fixture.round(), fixture.round()])
        };
        fixture.use_processor(0);
        fixture.bias.leave();
        if fixture.bias.enter() == Tenure::Kept {
            fixture.use_processor(0);
            fixture.holder[0].store(false, Ordering::Release);
        }
        fixture.attach(1);
        fixture.bias.leave();
        let kept = fixture.bias.enter() == Tenure::Kept;
        if kept {
            fixture.use_processor(1);
        }
        let taken = monitor.join().expect("no panic");
        let second = taken.iter().filter(|taken| **taken == Some(1)).count();
        assert!(second <= 1 && (kept || second == 1));
    });
}
