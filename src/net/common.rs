//! What all socket types have in common, written once.

/// Methods and conversions of `$Type`, a struct with one field `Socket<$std>`.
macro_rules! socket_type {
    ($Type:ident, $std:ty, $kind:expr) => {
        impl $Type {
            /// A second handle of the same socket, with a descriptor of its own.
            ///
            /// Both handles share the data, timeouts, deadlines, the non-blocking mode and
            /// [`close`](Self::close).
            ///
            /// # Errors
            /// The kernel's, when there is no descriptor left.
            pub fn try_clone(&self) -> std::io::Result<Self> {
                Ok(Self(self.0.duplicate(self.0.io().try_clone()?)))
            }

            /// Ends all operations on this socket and its clones, in both directions: those that
            /// wait, at once, and later ones.
            ///
            /// They return an error of the kind
            /// [`NotConnected`](std::io::ErrorKind::NotConnected). The other side sees
            /// the end at once; the descriptor itself is given back when the handle is dropped, so
            /// its number cannot be mistaken for another's.
            pub fn close(&self) {
                self.0.close();
            }

            /// Whether operations return
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) instead of waiting. Operations that
            /// wait already return it, too. Belongs to the socket, so also to its clones.
            ///
            /// # Errors
            /// The kernel's.
            pub fn set_nonblocking(&self, nonblocking: bool) -> std::io::Result<()> {
                self.0.set_non_blocking(nonblocking)
            }

            /// Takes the socket's pending error away (`SO_ERROR`).
            ///
            /// # Errors
            /// The kernel's.
            pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
                self.0.io().take_error()
            }
        }

        impl std::fmt::Debug for $Type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(self.0.io(), f)
            }
        }

        impl std::os::fd::AsFd for $Type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.0.io().as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $Type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                self.0.io().as_raw_fd()
            }
        }

        impl std::os::fd::IntoRawFd for $Type {
            fn into_raw_fd(self) -> std::os::fd::RawFd {
                self.0.into_io().into_raw_fd()
            }
        }

        impl std::os::fd::FromRawFd for $Type {
            unsafe fn from_raw_fd(fd: std::os::fd::RawFd) -> Self {
                // SAFETY: the caller's clause: `fd` is open, and ours from here on.
                Self::from(unsafe { <$std>::from_raw_fd(fd) })
            }
        }

        impl From<$std> for $Type {
            /// Takes the socket over with its mode and its timeouts.
            fn from(socket: $std) -> Self {
                Self(crate::net::socket::Socket::adopt(socket, $kind))
            }
        }

        impl From<$Type> for $std {
            /// Gives the socket away with its mode and its timeouts; deadlines stay behind.
            fn from(socket: $Type) -> Self {
                socket.0.into_io()
            }
        }

        impl From<std::os::fd::OwnedFd> for $Type {
            fn from(fd: std::os::fd::OwnedFd) -> Self {
                Self::from(<$std>::from(fd))
            }
        }

        impl From<$Type> for std::os::fd::OwnedFd {
            fn from(socket: $Type) -> Self {
                socket.0.into_io().into()
            }
        }
    };
}

/// Methods that are `std`'s own.
macro_rules! forward {
    ($Type:ident, $std:ident, $($name:ident($($arg:ident: $arg_type:ty),*) -> $result:ty;)+) => {
        impl $Type {
            $(
                #[doc = concat!("As [`", stringify!($std), "::", stringify!($name), "`] of `std`.")]
                #[doc = ""]
                #[doc = concat!("[`", stringify!($std), "::", stringify!($name), "`]: ",
                    "std::", socket_path!($std), "::", stringify!($std), "::", stringify!($name))]
                ///
                /// # Errors
                /// The kernel's.
                pub fn $name(&self $(, $arg: $arg_type)*) -> std::io::Result<$result> {
                    self.0.io().$name($($arg),*)
                }
            )+
        }
    };
}

/// The module of a type of `std`.
macro_rules! socket_path {
    (UnixStream) => {
        "os::unix::net"
    };
    (UnixListener) => {
        "os::unix::net"
    };
    (UnixDatagram) => {
        "os::unix::net"
    };
    ($other:ident) => {
        "net"
    };
}

/// Timeouts and deadlines of what reads and writes.
macro_rules! timed {
    ($Type:ident) => {
        impl $Type {
            /// How long an operation that reads may wait; `None`: for ever, the default.
            ///
            /// One that has waited for so long returns
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock), as in `std` on Linux. Operations
            /// that wait already keep the old one.
            ///
            /// # Errors
            /// `InvalidInput` for a zero duration; the kernel's.
            pub fn set_read_timeout(
                &self,
                timeout: Option<std::time::Duration>,
            ) -> std::io::Result<()> {
                self.0.io().set_read_timeout(timeout)?;
                self.0.set_timeout(crate::netpoll::Direction::Input, timeout);
                Ok(())
            }

            /// How long an operation that writes may wait; as
            /// [`set_read_timeout`](Self::set_read_timeout).
            ///
            /// # Errors
            /// `InvalidInput` for a zero duration; the kernel's.
            pub fn set_write_timeout(
                &self,
                timeout: Option<std::time::Duration>,
            ) -> std::io::Result<()> {
                self.0.io().set_write_timeout(timeout)?;
                self.0.set_timeout(crate::netpoll::Direction::Output, timeout);
                Ok(())
            }

            /// The timeout of reads, as the kernel rounds it.
            ///
            /// # Errors
            /// The kernel's.
            pub fn read_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                self.0.io().read_timeout()
            }

            /// The timeout of writes, as the kernel rounds it.
            ///
            /// # Errors
            /// The kernel's.
            pub fn write_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                self.0.io().write_timeout()
            }

            /// When operations that read end with
            /// [`TimedOut`](std::io::ErrorKind::TimedOut), even if there is data; `None`: never,
            /// the default.
            ///
            /// May be moved while operations wait: they end at the new deadline, at once if that
            /// lies in the past. Belongs to the socket, so also to its clones.
            pub fn set_read_deadline(&self, deadline: Option<std::time::Instant>) {
                self.0.set_deadline(crate::netpoll::Direction::Input, deadline);
            }

            /// When operations that write end; as
            /// [`set_read_deadline`](Self::set_read_deadline).
            pub fn set_write_deadline(&self, deadline: Option<std::time::Instant>) {
                self.0.set_deadline(crate::netpoll::Direction::Output, deadline);
            }

            /// Both deadlines in one.
            pub fn set_deadline(&self, deadline: Option<std::time::Instant>) {
                self.set_read_deadline(deadline);
                self.set_write_deadline(deadline);
            }
        }
    };
}

/// Reading and writing of a stream, by its `receive` and `send`.
macro_rules! stream_io {
    ($Type:ident) => {
        impl std::io::Read for $Type {
            #[inline]
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                (&*self).read(buffer)
            }

            fn read_vectored(
                &mut self,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                (&*self).read_vectored(buffers)
            }
        }

        impl std::io::Read for &$Type {
            /// An empty buffer returns 0 at once.
            #[inline]
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0.receive(buffer)
            }

            fn read_vectored(
                &mut self,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                self.0.receive_vectored(buffers)
            }
        }

        impl std::io::Write for $Type {
            #[inline]
            fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
                (&*self).write(buffer)
            }

            fn write_vectored(
                &mut self,
                buffers: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                (&*self).write_vectored(buffers)
            }

            #[inline]
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        impl std::io::Write for &$Type {
            #[inline]
            fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
                self.0.send(buffer)
            }

            fn write_vectored(
                &mut self,
                buffers: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                self.0.send_vectored(buffers)
            }

            #[inline]
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}

pub(super) use {forward, socket_path, socket_type, stream_io, timed};
