//! A server's side of TLS: its certificate, and what it has against a client.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use heartwire_tokio::{Address, Io};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{AlertDescription, Error, ServerConfig};
use tokio_rustls::{TlsAcceptor, server};

use super::pem::Pem;
use super::stream::Stream;
use super::{provider, reason};
use crate::exit::{Failure, Outcome};

/// The options of a server.
// No group: clap names one after the type, and those of two `Args` would clash.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// For tls:// addresses: the server's certificate (PEM), and after it those that lead to an authority
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// For tls:// addresses: the private key of the certificate (PEM, not encrypted)
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

impl Args {
    /// What makes connections secure that are accepted at any of these addresses; none if there are no such
    /// addresses.
    pub fn securing(&self, listen: &[Address]) -> Outcome<Option<Securing>> {
        let address = listen.iter().find(|address| matches!(address, Address::Tls { .. }));
        let bad = |what: String| Err(Failure::usage(what));
        match (address, &self.tls_cert, &self.tls_key) {
            (Some(_), Some(cert), Some(key)) => {
                let cert = Pem { option: "--tls-cert", path: cert };
                let key = Pem { option: "--tls-key", path: key };
                Securing::new(cert, key).map(Some)
            }
            (Some(address), None, None) => {
                bad(format!("{address}: TLS needs a certificate; give --tls-cert FILE and --tls-key FILE"))
            }
            (Some(_), Some(cert), None) => bad(format!(
                "--tls-cert {}: it is of no use without its private key; give --tls-key FILE",
                cert.display()
            )),
            (Some(_), None, Some(key)) => bad(format!(
                "--tls-key {}: it is of no use without its certificate; give --tls-cert FILE",
                key.display()
            )),
            (None, None, None) => Ok(None),
            // nobody shall believe that what is said is secret
            (None, ..) => {
                bad("--tls-cert and --tls-key are for tls:// addresses; give --listen tls://HOST:PORT".into())
            }
        }
    }
}

/// What makes accepted connections secure.
#[derive(Clone)]
pub struct Securing(TlsAcceptor);

impl Securing {
    fn new(cert: Pem<'_>, key: Pem<'_>) -> Outcome<Self> {
        let chain = cert.certificates()?;
        let private_key = key.private_key()?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::failed(format_args!("can't set up TLS: {error}")))?
            .with_no_client_auth()
            .with_single_cert(chain, private_key)
            .map_err(|error| match error {
                Error::InconsistentKeys(_) => key.bad(format_args!(
                    "it is not the key of the first certificate in {}; give the two that belong together",
                    cert.path.display()
                )),
                Error::InvalidCertificate(error) => {
                    cert.bad(format_args!("the first certificate in it can't be used: {error}; give another"))
                }
                error => {
                    key.bad(format_args!("it can't be used: {error}; give another key and its certificate"))
                }
            })?;
        Ok(Self(Arc::new(config).into()))
    }

    /// Does the handshake. Errors are for logs.
    pub async fn secure(
        self,
        Io(stream): Io<TcpStream>,
    ) -> io::Result<Io<Stream<server::TlsStream<TcpStream>>>> {
        let secured = self.0.accept(stream).await;
        secured
            .map(|stream| Io(Stream(stream)))
            .map_err(|error| io::Error::new(error.kind(), explain(&error)))
    }
}

/// What is wrong with the client.
fn explain(error: &io::Error) -> String {
    use AlertDescription as Alert;
    match reason(error) {
        Some(Error::InvalidMessage(_)) => "the client does not speak TLS: it should connect to tls://".into(),
        Some(Error::AlertReceived(
            alert @ (Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::UnsupportedCertificate
            | Alert::DecryptError),
        )) => format!("the client does not accept this server's certificate: {alert:?}"),
        Some(error) => format!("the TLS handshake failed: {error}"),
        None => format!("the connection ended in the TLS handshake: {error}"),
    }
}
