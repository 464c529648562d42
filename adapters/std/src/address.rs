//! Where a peer is.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use heartwire_core::escape::escape;

/// An address, as people write it: `tcp://HOST:PORT` (or just `HOST:PORT`), `tls://HOST:PORT` or `unix://PATH`.
///
/// ```
/// use heartwire_std::address::Address;
///
/// let address: Address = "tcp://[::1]:9999".parse()?;
/// assert_eq!(address, Address::Tcp { host: "::1".into(), port: 9999 });
/// assert_eq!(address.to_string(), "tcp://[::1]:9999");
/// assert_eq!("localhost:9999".parse::<Address>()?.to_string(), "tcp://localhost:9999");
/// # Ok::<(), heartwire_std::address::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// TCP.
    Tcp {
        /// A name or an IP address; an IPv6 address without brackets.
        host: String,
        /// The port; for a listener, 0 lets the operating system choose one.
        port: u16,
    },
    /// TLS over TCP. Who connects or listens brings TLS; adapters have none of their own.
    Tls {
        /// A name or an IP address; an IPv6 address without brackets. The server's certificate must be for it.
        host: String,
        /// The port; for a listener, 0 lets the operating system choose one.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// The same place, over TLS. What is not TCP stays what it is.
    #[must_use]
    pub fn into_tls(self) -> Self {
        match self {
            Self::Tcp { host, port } => Self::Tls { host, port },
            other => other,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let fail = |why| Err(AddressError { met: text.into(), why });
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text {
                "" => fail(Why::Empty),
                _ if text.starts_with(['/', '.', '~']) => fail(Why::BarePath),
                _ => host_and_port(text).map_or_else(fail, |(host, port)| Ok(Self::Tcp { host, port })),
            };
        };
        if scheme.eq_ignore_ascii_case("tcp") {
            host_and_port(rest).map_or_else(fail, |(host, port)| Ok(Self::Tcp { host, port }))
        } else if scheme.eq_ignore_ascii_case("tls") {
            host_and_port(rest).map_or_else(fail, |(host, port)| Ok(Self::Tls { host, port }))
        } else if scheme.eq_ignore_ascii_case("unix") {
            match rest {
                "" => fail(Why::NoPath),
                _ if rest.contains('\0') => fail(Why::NulInPath),
                _ => Ok(Self::Unix(rest.into())),
            }
        } else {
            fail(Why::UnknownScheme)
        }
    }
}

fn host_and_port(text: &str) -> Result<(String, u16), Why> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(Why::UnclosedBracket)?;
        let ip = host.split_once('%').map_or(host, |(ip, zone)| if zone.is_empty() { "" } else { ip });
        if ip.parse::<Ipv6Addr>().is_err() || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Why::NotIpv6);
        }
        (host, after.strip_prefix(':').ok_or(Why::NoPort)?)
    } else {
        let (host, port) = text.rsplit_once(':').ok_or(Why::NoPort)?;
        if host.contains(':') {
            return Err(Why::Brackets);
        }
        (host, port)
    };
    if host.is_empty() {
        return Err(Why::NoHost);
    }
    if host.contains(is_not_in_names) {
        return Err(Why::BadHost);
    }
    if port.is_empty() {
        return Err(Why::NoPort);
    }
    // `u16::from_str` would take a sign
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Why::BadPort);
    }
    Ok((host.into(), port.parse().map_err(|_| Why::BadPort)?))
}

/// Characters that no host has, and that stand in an address only by mistake.
fn is_not_in_names(char: char) -> bool {
    char.is_whitespace() || char.is_control() || matches!(char, '/' | '\\' | '@' | '?' | '#' | '[' | ']')
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Tcp { host, port } => ("tcp", host, port),
            Self::Tls { host, port } => ("tls", host, port),
            Self::Unix(path) => return write!(f, "unix://{}", path.display()),
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            _ => address.ip().to_string(),
        };
        Self::Tcp { host, port: address.port() }
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Unix(path.into())
    }
}

/// Text that is no address: what was met, and what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    met: String,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Empty,
    BarePath,
    UnknownScheme,
    NoPath,
    NulInPath,
    NoHost,
    BadHost,
    NoPort,
    BadPort,
    UnclosedBracket,
    Brackets,
    NotIpv6,
}

/// How addresses are written.
const FORMS: &str = "tcp://HOST:PORT, tls://HOST:PORT or unix://PATH";

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.why != Why::Empty {
            write!(f, "`{}`: ", escape(&self.met).limit(200))?;
        }
        let path = escape(&self.met).limit(200);
        let is_tls = self.met.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("tls://"));
        let scheme = if is_tls { "tls" } else { "tcp" };
        match self.why {
            Why::Empty => write!(f, "the address is empty; write {FORMS}"),
            Why::BarePath => write!(f, "a path needs its scheme; write unix://{path}"),
            Why::UnknownScheme => write!(f, "unknown scheme; write {FORMS}"),
            Why::NoPath => f.write_str("the path is missing; write unix://PATH, like unix:///tmp/chat.sock"),
            Why::NulInPath => f.write_str("a path can't hold a NUL character; write unix://PATH"),
            Why::NoHost => write!(
                f,
                "the host is missing; write {scheme}://127.0.0.1:PORT for this machine alone, {scheme}://0.0.0.0:PORT for every network",
            ),
            Why::BadHost => {
                write!(f, "the host has a character that no host has; write {scheme}://HOST:PORT")
            }
            Why::NoPort => {
                write!(f, "the port is missing; write {scheme}://HOST:PORT, like {scheme}://127.0.0.1:9999")
            }
            Why::BadPort => write!(f, "the port is not a number from 0 to 65535; write {scheme}://HOST:PORT"),
            Why::UnclosedBracket => write!(f, "the bracket is not closed; write {scheme}://[::1]:PORT"),
            Why::Brackets => write!(f, "an IPv6 address needs brackets; write {scheme}://[::1]:PORT"),
            Why::NotIpv6 => write!(
                f,
                "what is in brackets is not an IPv6 address; write {scheme}://[::1]:PORT, or {scheme}://HOST:PORT without brackets",
            ),
        }
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, AddressError> {
        text.parse()
    }

    #[test]
    fn addresses_are_read_and_written() {
        for (text, host, port, written) in [
            ("tcp://127.0.0.1:9999", "127.0.0.1", 9999, "tcp://127.0.0.1:9999"),
            ("TCP://localhost:0", "localhost", 0, "tcp://localhost:0"),
            ("localhost:65535", "localhost", 65535, "tcp://localhost:65535"),
            ("tcp://[::1]:9", "::1", 9, "tcp://[::1]:9"),
            ("[fe80::1%eth0]:9", "fe80::1%eth0", 9, "tcp://[fe80::1%eth0]:9"),
            ("tcp://bücher.example:80", "bücher.example", 80, "tcp://bücher.example:80"),
        ] {
            let address = parse(text).unwrap();
            assert_eq!(address, Address::Tcp { host: host.into(), port });
            assert_eq!(address.to_string(), written);
            assert_eq!(parse(written).unwrap(), address);
        }
        for (text, host, written) in [
            ("tls://chat.example:443", "chat.example", "tls://chat.example:443"),
            ("TLS://[::1]:443", "::1", "tls://[::1]:443"),
        ] {
            let address = parse(text).unwrap();
            assert_eq!(address, Address::Tls { host: host.into(), port: 443 });
            assert_eq!(address.to_string(), written);
            assert_eq!(parse(written).unwrap(), address);
        }
        for (text, path) in [
            ("unix:///tmp/chat.sock", "/tmp/chat.sock"),
            ("unix://chat.sock", "chat.sock"),
            ("unix:///tmp/a b:1", "/tmp/a b:1"),
        ] {
            let address = parse(text).unwrap();
            assert_eq!(address, Address::Unix(path.into()));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_what_to_write() {
        for (text, said) in [
            ("", "the address is empty; write tcp://HOST:PORT, tls://HOST:PORT or unix://PATH"),
            ("/tmp/chat.sock", "write unix:///tmp/chat.sock"),
            ("tls://host", "the port is missing; write tls://HOST:PORT"),
            ("Tls://:1", "the host is missing; write tls://127.0.0.1:PORT"),
            ("tls://::1:1", "needs brackets; write tls://[::1]:PORT"),
            ("http://host:1", "unknown scheme"),
            ("unix://", "the path is missing"),
            ("unix:///tmp/\0", "NUL"),
            ("tcp://", "the port is missing"),
            ("localhost", "the port is missing"),
            ("tcp://localhost:", "the port is missing"),
            ("[::1]", "the port is missing"),
            ("[::1]9", "the port is missing"),
            ("tcp://:9999", "the host is missing"),
            ("host:65536", "not a number from 0 to 65535"),
            ("host:+1", "not a number from 0 to 65535"),
            ("host:-1", "not a number from 0 to 65535"),
            ("tcp://host:99/", "not a number from 0 to 65535"),
            ("tcp://a b:1", "a character that no host has"),
            ("tcp://user@host:1", "a character that no host has"),
            ("[::1:9", "the bracket is not closed"),
            ("::1:9", "needs brackets"),
            ("tcp://fe80::1:9", "needs brackets"),
            ("[localhost]:9", "not an IPv6 address"),
            ("[::1%]:9", "not an IPv6 address"),
            ("[::1%a b]:9", "not an IPv6 address"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
            assert!(error.contains("write "), "{text}: {error}");
        }
        assert!(!parse("\u{1b}[2J").unwrap_err().to_string().contains('\u{1b}'));
    }

    #[test]
    fn socket_addresses_are_addresses() {
        for text in ["127.0.0.1:80", "[::1]:80", "[fe80::1%3]:80"] {
            let socket: SocketAddr = text.parse().unwrap();
            let address = Address::from(socket);
            assert_eq!(address.to_string(), format!("tcp://{text}"));
            assert_eq!(parse(text).unwrap(), address);
        }
        assert_eq!(Address::from(Path::new("/a")), Address::from(PathBuf::from("/a")));
    }
}
