//! What every server of the program does the same way: its options, its ready lines, its end.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use heartwire_tokio::connection::codec::Codec;
use heartwire_tokio::connection::{Config, ConfigBuilder, Ended};
use heartwire_tokio::{Address, ConnectionOptions, Limits, Server, Service};
use tokio::sync::oneshot;

use crate::duration;
use crate::exit::{Failure, Outcome};
use crate::log::{say, shortened};
use crate::signals::Signals;
use crate::tls;

/// The shortest of the times that a server waits for a peer.
const SHORTEST: Duration = Duration::from_millis(1);

/// How much of an ending is logged, in characters.
const SHOWN: usize = 200;

/// The options of a server whose connections are no sessions.
///
/// A server whose `--timeout` has a default says so with
/// `#[command(mut_arg("timeout", |arg| arg.default_value("1m")))]` behind the field.
// No group: clap names one after the type, and those of two `Args` would clash.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The most connections at once; who comes then is turned away
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_sessions())]
    max_connections: usize,

    /// How long a peer may be silent, or take for the next 4 KiB of what it has begun, before its connection is closed;
    /// for ever without it
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    timeout: Option<Duration>,

    /// How long a stop may take before what is left is cut
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "3s")]
    grace: Duration,
}

impl Args {
    /// Options for connections with these settings: how long a peer may be silent, or take for the next few bytes of
    /// what it has begun.
    pub fn connections<C: Codec>(&self, settings: C::Settings) -> Outcome<ConnectionOptions<C>> {
        self.connections_with(settings, Config::builder())
    }

    /// The same, beside what is configured already.
    pub fn connections_with<C: Codec>(
        &self,
        settings: C::Settings,
        config: ConfigBuilder,
    ) -> Outcome<ConnectionOptions<C>> {
        let timeout = self.timeout()?;
        let config =
            config.idle_timeout(timeout).progress_timeout(timeout).build().map_err(Failure::usage)?;
        Ok(ConnectionOptions::new(settings).config(config).limits(self.limits()?).grace(self.grace))
    }

    /// How many connections there may be.
    fn limits(&self) -> Outcome<Limits> {
        limits("--max-connections", self.max_connections)
    }

    /// How long a peer may be silent; none: for ever.
    fn timeout(&self) -> Outcome<Option<Duration>> {
        self.timeout.map(|time| check_time("--timeout", time)).transpose()
    }
}

/// Limits with this many sessions or connections, which `option` asked for.
pub fn limits(option: &str, most: usize) -> Outcome<Limits> {
    let limits = Limits::builder().max_sessions(most).build();
    limits.map_err(|error| Failure::usage(error.to_string().replacen("max_sessions", option, 1)))
}

/// The time, if it is one that a peer can be waited for; `option` asked for it.
pub fn check_time(option: &str, time: Duration) -> Outcome<Duration> {
    if (SHORTEST..=duration::LONGEST).contains(&time) {
        return Ok(time);
    }
    Err(Failure::usage(format_args!(
        "{option}: {} is not between {} and {}",
        duration::show(time),
        duration::show(SHORTEST),
        duration::show(duration::LONGEST)
    )))
}

/// Where a server listens.
pub struct Listen {
    addresses: Vec<Address>,
    /// For the addresses with TLS, if there are any.
    securing: Option<tls::server::Securing>,
}

impl Listen {
    /// On these addresses. Reads what TLS needs, if it is needed.
    pub fn on(addresses: Vec<Address>, tls: &tls::server::Args) -> Outcome<Self> {
        let securing = tls.securing(&addresses)?;
        Ok(Self { addresses, securing })
    }
}

/// Listens there, serves each connection with the handler, and stops when a signal asks for it.
pub async fn serve<V, H, F>(listen: Listen, options: V, handler: H) -> Outcome
where
    V: Service,
    H: Fn(V::Handle) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    serve_with(listen, options, handler, || ()).await
}

/// The same, with something to do when a second signal ends the program at once.
pub async fn serve_with<V, H, F>(
    listen: Listen,
    options: V,
    handler: H,
    at_once: impl FnOnce() + Send + 'static,
) -> Outcome
where
    V: Service,
    H: Fn(V::Handle) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let signals = Signals::take()?;
    let grace = options.grace();
    let Listen { addresses, securing } = listen;
    let secure = move |stream| {
        let securing = securing.clone();
        async move {
            let none = || io::Error::new(io::ErrorKind::Unsupported, "no certificate was given");
            securing.ok_or_else(none)?.secure(stream).await
        }
    };
    let server = Server::bind_tls(&addresses, options, secure).await.map_err(cannot_listen)?;
    announce(server.local_addresses());
    let report = server.serve(handler, stop_asked(signals, grace, at_once)).await;
    // what was cut is said whatever the logs are set to
    say(report);
    Ok(())
}

/// Says on stdout that connections are accepted, and where.
fn announce(addresses: &[Address]) {
    let mut out = io::stdout().lock();
    for address in addresses {
        // whoever started it need not read along
        let _ = writeln!(out, "listening on {address}");
    }
    let _ = out.flush();
}

/// A server could not listen: what happened and what to do.
fn cannot_listen(error: io::Error) -> Failure {
    let todo = match error.kind() {
        io::ErrorKind::AddrInUse => "; stop what is listening there, or choose another address",
        io::ErrorKind::PermissionDenied => "; choose an address that you may listen on",
        io::ErrorKind::AddrNotAvailable => "; choose an address of this machine",
        _ => "; check --listen",
    };
    // some errors say already what to do
    let error = error.to_string();
    let todo = if error.contains(';') { "" } else { todo };
    Failure::failed(format_args!("{error}{todo}"))
}

/// Waits for the first signal; the second ends the program, wherever it is then.
async fn stop_asked(mut signals: Signals, grace: Duration, at_once: impl FnOnce() + Send + 'static) {
    let (asked, first) = oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        let _ = asked.send(());
        signals.next().await;
        at_once();
        say("stopped at once by a second signal");
        std::process::exit(1);
    });
    let _ = first.await;
    tracing::info!("stopping: telling the peers, at most {}", duration::show(grace));
}

/// A peer's name in logs: its address, if it has one.
pub fn peer(address: Option<&Address>) -> &dyn Display {
    match address {
        Some(address) => address,
        None => &"a local client",
    }
}

/// How it ended, for a log line: escaped, and no longer than a line.
pub fn ending<M>(ended: &Ended<M>) -> String {
    // an ending may be as long as the peer likes
    shortened(&ended.to_string(), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Silent {
        #[command(flatten)]
        serving: Args,
    }

    #[derive(Debug, Parser)]
    #[command(mut_arg("timeout", |arg| arg.default_value("1m")))]
    struct Timed {
        #[command(flatten)]
        serving: Args,
    }

    fn silent(args: &[&str]) -> Args {
        Silent::parse_from([&["serve"], args].concat()).serving
    }

    #[test]
    fn every_server_has_defaults() {
        let args = silent(&[]);
        assert_eq!(args.limits().unwrap(), Limits::default());
        assert_eq!(args.timeout().unwrap(), None);
        assert_eq!(args.grace, Duration::from_secs(3));
        let timed = Timed::parse_from(["serve"]).serving;
        assert_eq!(timed.timeout().unwrap(), Some(Duration::from_secs(60)));
        let timed = Timed::parse_from(["serve", "--timeout", "5s"]).serving;
        assert_eq!(timed.timeout().unwrap(), Some(Duration::from_secs(5)));
    }

    #[test]
    fn what_no_server_can_do_is_bad_usage() {
        let args = silent(&["--max-connections", "7", "--timeout", "1ms", "--grace", "0s"]);
        assert_eq!(args.limits().unwrap().max_sessions(), 7);
        assert_eq!(args.timeout().unwrap(), Some(SHORTEST));
        assert_eq!(args.grace, Duration::ZERO);

        let args = silent(&["--max-connections", "0", "--timeout", "0s"]);
        let said = format!("{:?}", args.limits().unwrap_err());
        assert!(
            said.contains("code: 2") && said.contains("--max-connections: 0 is not between 1 and"),
            "{said}"
        );
        let said = format!("{:?}", args.timeout().unwrap_err());
        assert!(said.contains("code: 2") && said.contains("--timeout: 0s is not between 1ms and"), "{said}");
        for args in [["--timeout", "525601m"], ["--grace", "525601m"], ["--max-connections", "-1"]] {
            assert!(Silent::try_parse_from([&["serve"][..], &args].concat()).is_err(), "{args:?}");
        }
    }

    #[test]
    fn peers_without_an_address_are_local() {
        let address: Address = "tcp://127.0.0.1:9".parse().unwrap();
        assert_eq!(peer(Some(&address)).to_string(), "tcp://127.0.0.1:9");
        assert_eq!(peer(None).to_string(), "a local client");
    }
}
