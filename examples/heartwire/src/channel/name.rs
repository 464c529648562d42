//! What a channel is called in logs.

use std::fmt;

use heartwire_core::escape::escape;
use heartwire_std::handle::Endpoints;
use heartwire_tokio::Address;

use crate::serving;

/// A channel's name, as existing programs have it: host and port, or the path of a Unix socket.
#[derive(Clone, Debug)]
pub struct Name {
    name: String,
    /// Who is at the other end, where the name does not say it.
    peer: Option<String>,
}

impl Name {
    /// Where it was connected to.
    pub fn of_sender(address: &Address) -> Self {
        Self { name: bare(address), peer: None }
    }

    /// Where it was accepted, and who it is.
    pub fn of_listener(endpoints: &Endpoints) -> Self {
        let name = endpoints.local.as_ref().map_or_else(|| "of this machine".into(), bare);
        Self { name, peer: Some(serving::peer(endpoints.peer.as_ref()).to_string()) }
    }

    /// The peer behind `before`, where the name does not say it.
    pub fn peer(&self, before: &str) -> String {
        self.peer.as_ref().map_or_else(String::new, |peer| format!("{before}{peer}"))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "channel {}", self.name)
    }
}

/// The address without its scheme.
fn bare(address: &Address) -> String {
    let address = address.to_string();
    let bare = address.split_once("://").map_or(&*address, |(_, bare)| bare);
    escape(bare).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn channels_are_called_by_host_and_port_or_path() {
        for (from, name) in [
            ("tcp://localhost:9020", "channel localhost:9020"),
            ("tcp://[::1]:9020", "channel [::1]:9020"),
            ("unix:///tmp/a\nb.sock", r"channel /tmp/a\nb.sock"),
        ] {
            let sender = Name::of_sender(&address(from));
            assert_eq!((sender.to_string().as_str(), sender.peer(": ")), (name, String::new()));
        }
    }

    #[test]
    fn a_listener_names_its_peers() {
        let local = Some(address("tcp://127.0.0.1:9020"));
        let peer = Some(address("tcp://127.0.0.1:51000"));
        let name = Name::of_listener(&Endpoints { local: local.clone(), peer });
        assert_eq!(
            format!("{name}{}", name.peer(" from ")),
            "channel 127.0.0.1:9020 from tcp://127.0.0.1:51000"
        );
        assert_eq!(Name::of_listener(&Endpoints { local, peer: None }).peer(": "), ": a local client");
    }
}
