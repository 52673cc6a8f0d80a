//! Green threads that outlived the wait for them.

use crate::green::ThreadId;

/// A green thread that had not finished when [`Runtime::shutdown_timeout`](crate::Runtime::shutdown_timeout) gave up waiting.
#[derive(Clone, Debug)]
pub struct Survivor {
    name: Option<String>,
    id: ThreadId,
    state: String,
}

impl Survivor {
    pub(crate) fn new(name: Option<String>, id: ThreadId, state: String) -> Self {
        Self { name, id, state }
    }

    /// Its name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its number.
    pub fn id(&self) -> ThreadId {
        self.id
    }

    /// What it was doing, in words: "running", "waiting: sleep for 1.2 s", …
    pub fn state(&self) -> &str {
        &self.state
    }
}
