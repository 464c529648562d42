//! What every client of the program does the same way: it connects, and does not wait for ever.

use std::time::Duration;

use heartwire_tokio::connection::ConfigBuilder;
use heartwire_tokio::connection::codec::Codec;
use heartwire_tokio::{Address, ConnectError, ConnectionOptions, Io, Service, connect, connect_tls};

use crate::duration;
use crate::exit::{Failure, Outcome};
use crate::serving::check_time;
use crate::tls::client::{Args, Securing};
use crate::tls::plain::Plain;

/// How long a client that sends files waits.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Times {
    /// How long making the connection may take, and then how long nothing may move, before it is given up; without it
    /// 10s, and then for ever
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    timeout: Option<Duration>,

    /// How long a stop by a signal may take before what is left is cut
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "3s")]
    pub grace: Duration,
}

impl Times {
    /// Options for a connection with these settings, beside what is configured already.
    pub fn connection<C: Codec>(
        &self,
        settings: C::Settings,
        config: ConfigBuilder,
    ) -> Outcome<ConnectionOptions<C>> {
        let timeout = self.timeout.map(|time| check_time("--timeout", time)).transpose()?;
        let config =
            config.idle_timeout(timeout).progress_timeout(timeout).build().map_err(Failure::usage)?;
        let options = ConnectionOptions::new(settings).config(config);
        Ok(match timeout {
            Some(timeout) => options.connect_timeout(timeout),
            None => options,
        })
    }
}

/// What connects to one server.
#[derive(Clone)]
pub struct Connector {
    address: Address,
    /// For TLS.
    securing: Option<Securing>,
}

impl Connector {
    /// For the server at this address. Reads what TLS needs, if it is TLS.
    pub fn new(address: &Address, tls: &Args) -> Outcome<Self> {
        let securing = match (address, &tls.tls_ca) {
            (Address::Tls { host, .. }, ca) => Some(Securing::new(host, ca.as_deref())?),
            (_, None) => None,
            // nobody shall believe that what is said is secret
            (address, Some(_)) => {
                return Err(Failure::usage(format_args!(
                    "{address}: --tls-ca is of no use there; connect to tls://HOST:PORT, or leave it out"
                )));
            }
        };
        Ok(Self { address: address.clone(), securing })
    }

    /// Connects.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub async fn connect<V: Service>(&self, options: &V) -> Result<V::Handle, ConnectError> {
        match self.securing.clone() {
            Some(securing) => connect_tls(&self.address, options, |stream| securing.secure(stream)).await,
            None if matches!(self.address, Address::Tcp { .. }) => {
                let plain = async |Io(stream)| Ok(Io(Plain::new(stream)));
                connect_tls(&self.address, options, plain).await
            }
            None => connect(&self.address, options).await,
        }
    }
}
