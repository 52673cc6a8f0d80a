//! Names to addresses, off the processor.

use std::any::type_name;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};

/// The addresses that `addresses` stands for.
///
/// A look-up may block in libc for seconds, so the processor is given up for it.
pub(super) fn resolve<A: ToSocketAddrs>(addresses: A) -> io::Result<A::Iter> {
    if is_literal::<A>() {
        return addresses.to_socket_addrs();
    }
    crate::sched::blocking(|| addresses.to_socket_addrs())
}

/// Whether values of this type are addresses already, as far as their type's name tells. A wrong
/// answer costs time: an unneeded hand-off, or one that the monitor makes.
fn is_literal<A: ?Sized>() -> bool {
    let name = type_name::<A>().trim_start_matches('&');
    [
        type_name::<SocketAddr>(),
        type_name::<SocketAddrV4>(),
        type_name::<SocketAddrV6>(),
        type_name::<(IpAddr, u16)>(),
        type_name::<(Ipv4Addr, u16)>(),
        type_name::<(Ipv6Addr, u16)>(),
        type_name::<[SocketAddr]>(),
    ]
    .contains(&name)
}

/// Calls `f` with each address until it succeeds; the last error, as in `std`.
pub(super) fn with_each<A: ToSocketAddrs, T>(
    addresses: A,
    mut f: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for address in resolve(addresses)? {
        match f(address) {
            Ok(value) => return Ok(value),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any addresses")
    }))
}

#[cfg(test)]
mod tests {
    use super::is_literal;
    use std::net::{Ipv4Addr, SocketAddr};

    #[test]
    fn addresses_need_no_look_up_and_names_do() {
        assert!(is_literal::<SocketAddr>() && is_literal::<&&SocketAddr>());
        assert!(is_literal::<(Ipv4Addr, u16)>() && is_literal::<&[SocketAddr]>());
        assert!(!is_literal::<&str>() && !is_literal::<(&str, u16)>() && !is_literal::<String>());
    }
}
