//! What every client of the program does the same way: it connects.

use heartwire_tokio::{Address, ConnectError, Io, Service, connect, connect_tls};

use crate::exit::{Failure, Outcome};
use crate::tls::client::{Args, Securing};
use crate::tls::plain::Plain;

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
