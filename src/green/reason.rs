//! What a thread waits for: shown by the dump, never acted upon.

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[cfg_attr(loom, allow(dead_code, reason = "models compile a part of the crate"))]
pub(crate) enum Reason {
    /// `park` or `park_timeout`.
    Park = 0,
    /// `sleep` or `sleep_until`.
    Sleep = 1,
    /// `JoinHandle::join`.
    Join = 2,
    /// The end of a scope.
    Scope = 3,
    /// The end of a runtime.
    Shutdown = 4,
    /// Room in a channel, or a receiver.
    Send = 5,
    /// A message.
    Receive = 6,
    /// One of several channel operations.
    Select = 7,
    /// A mutex.
    Mutex = 8,
    /// A reader-writer lock, to read.
    Read = 9,
    /// A reader-writer lock, to write.
    Write = 10,
    /// A condition variable.
    Condvar = 11,
    /// A permit of a semaphore.
    Semaphore = 12,
    /// Somebody else's initialisation.
    Once = 13,
    /// The others at a barrier.
    Barrier = 14,
    /// The end of a group's work.
    WaitGroup = 15,
    /// A descriptor to become readable.
    Input = 16,
    /// A descriptor to become writable.
    Output = 17,
    /// A machine, before it is tied to one.
    Machine = 18,
}

impl Reason {
    const ALL: [Self; 19] = [
        Self::Park,
        Self::Sleep,
        Self::Join,
        Self::Scope,
        Self::Shutdown,
        Self::Send,
        Self::Receive,
        Self::Select,
        Self::Mutex,
        Self::Read,
        Self::Write,
        Self::Condvar,
        Self::Semaphore,
        Self::Once,
        Self::Barrier,
        Self::WaitGroup,
        Self::Input,
        Self::Output,
        Self::Machine,
    ];

    /// The reason a byte stands for.
    pub(crate) fn from_byte(byte: u8) -> Self {
        Self::ALL.get(usize::from(byte)).copied().unwrap_or(Self::Park)
    }

    /// In the words of the dump.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Park => "park",
            Self::Sleep => "sleep",
            Self::Join => "join",
            Self::Scope => "end of scope",
            Self::Shutdown => "end of runtime",
            Self::Send => "channel send",
            Self::Receive => "channel receive",
            Self::Select => "select",
            Self::Mutex => "mutex",
            Self::Read => "rwlock read",
            Self::Write => "rwlock write",
            Self::Condvar => "condvar",
            Self::Semaphore => "semaphore",
            Self::Once => "once",
            Self::Barrier => "barrier",
            Self::WaitGroup => "wait group",
            Self::Input => "input",
            Self::Output => "output",
            Self::Machine => "machine of its own",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn every_reason_is_found_by_its_byte() {
        for (byte, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!((reason as usize, Reason::from_byte(byte as u8)), (byte, reason));
        }
    }
}
