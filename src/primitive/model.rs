//! What the loom models of the crate share.

/// Explores every interleaving of `model` with at most three preemptions.
///
/// Two, which other projects use in their CI, miss a real bug in a Chase–Lev deque that three
/// find; every mutant of ours that dies at all dies at three.
pub(crate) fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// A cell that several threads of a model share: loom itself reports a race on it.
#[derive(Debug)]
pub(crate) struct Shared<T>(loom::cell::UnsafeCell<T>);

// SAFETY: loom tracks each access and fails the model when two of them are not ordered, which is
// what the cell is for; `T: Send` because the last writer may be any thread.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Makes a cell that holds `value`.
    pub(crate) fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    /// Overwrites the contents.
    pub(crate) fn set(&self, value: T) {
        // SAFETY: exclusive, or loom fails the model.
        self.0.with_mut(|contents| unsafe { *contents = value });
    }

    /// Changes the contents.
    pub(crate) fn update(&self, change: impl FnOnce(&mut T)) {
        // SAFETY: exclusive, or loom fails the model.
        self.0.with_mut(|contents| change(unsafe { &mut *contents }));
    }
}

impl<T: Copy> Shared<T> {
    /// Reads the contents.
    pub(crate) fn get(&self) -> T {
        // SAFETY: not written meanwhile, or loom fails the model.
        self.0.with(|contents| unsafe { *contents })
    }
}
