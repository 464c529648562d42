//! A client's side of TLS: whom it trusts, and what it has against a server.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heartwire_tokio::Io;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use tokio_rustls::{TlsConnector, client};

use super::pem::Pem;
use super::stream::Stream;
use super::{provider, reason};
use crate::exit::{Failure, Outcome};

/// How many of the names in a certificate are shown.
const SHOWN: usize = 5;

/// The options of a client.
// No group: clap names one after the type, and those of two `Args` would clash.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// With a tls:// address: trust who these certificates (PEM) vouch for, instead of whom the system trusts
    ///
    /// The file holds the certificates of authorities, or the server's own if nobody else signed it.
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
}

/// What makes connections to a server secure.
#[derive(Clone)]
pub struct Securing {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Securing {
    /// For the server on this host, trusting whom the file says, or whom the system does.
    pub fn new(host: &str, ca: Option<&Path>) -> Outcome<Self> {
        let name = server_name(host)?;
        let roots = ca.map_or_else(system_roots, roots_in)?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::failed(format_args!("can't set up TLS: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: Arc::new(config).into(), name })
    }

    /// Does the handshake. Errors say what to do.
    pub async fn secure(
        self,
        Io(stream): Io<TcpStream>,
    ) -> io::Result<Io<Stream<client::TlsStream<TcpStream>>>> {
        let secured = self.connector.connect(self.name, stream).await;
        secured
            .map(|stream| Io(Stream(stream)))
            .map_err(|error| io::Error::new(error.kind(), explain(&error)))
    }
}

/// What a certificate must be for. A zone says how to reach an address and is no part of it.
fn server_name(host: &str) -> Outcome<ServerName<'static>> {
    let name = host.split_once('%').map_or(host, |(ip, _zone)| ip);
    ServerName::try_from(name.to_owned()).map_err(|_| {
        Failure::usage(format_args!(
            "tls://{host}: no certificate can be for this name; give an IP address, or a name in ASCII (xn--…)"
        ))
    })
}

fn roots_in(path: &Path) -> Outcome<RootCertStore> {
    let pem = Pem { option: "--tls-ca", path };
    let mut roots = RootCertStore::empty();
    for (number, certificate) in (1..).zip(pem.certificates()?) {
        roots.add(certificate).map_err(|error| {
            pem.bad(format_args!(
                "certificate {number} in it can't be used: {error}; give a certificate of X.509"
            ))
        })?;
    }
    Ok(roots)
}

fn system_roots() -> Outcome<RootCertStore> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // what is of no use among many is no reason to fail
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        let why = loaded.errors.first().map_or_else(String::new, |error| format!(": {error}"));
        return Err(Failure::usage(format_args!(
            "this system has no certificates of authorities to trust{why}; give --tls-ca FILE, or install them"
        )));
    }
    Ok(roots)
}

/// What is wrong with the server, and what to do.
fn explain(error: &io::Error) -> String {
    match reason(error) {
        Some(Error::InvalidCertificate(error)) => certificate(error),
        Some(Error::InvalidMessage(_)) => {
            "what listens there does not speak TLS; connect to tcp://HOST:PORT, or check the address".into()
        }
        Some(Error::PeerIncompatible(why)) => {
            format!(
                "the server speaks neither TLS 1.2 nor 1.3 in a way that is safe ({why:?}); it needs a newer one"
            )
        }
        Some(Error::AlertReceived(alert)) => {
            format!("the server ended the TLS handshake ({alert:?}); its log may say more")
        }
        Some(error) => {
            format!("the TLS handshake failed: {error}; the server, or what is on the way to it, is faulty")
        }
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                format!(
                    "the connection ended in the TLS handshake ({error}); check that TLS is spoken at the address"
                )
            }
            _ => format!("the TLS handshake failed: {error}; check the address and the network"),
        },
    }
}

/// What is wrong with the server's certificate, and what to do.
fn certificate(error: &CertificateError) -> String {
    use CertificateError as Is;
    const TRUST: &str = "trust it with --tls-ca FILE";
    match error {
        Is::UnknownIssuer => format!(
            "the server's certificate is not trusted: nobody trusted signed it; {TRUST}, which holds its authority's certificate, or its own if nobody else signed it"
        ),
        Is::Expired | Is::ExpiredContext { .. } => {
            "the server's certificate has expired; the server needs a new one, or this machine's clock is wrong".into()
        }
        Is::NotValidYet | Is::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; wait, or set this machine's clock".into()
        }
        Is::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().take(SHOWN).map(|name| bare(name)).collect();
            let names = match names.len() {
                0 => "for no name at all".into(),
                _ => format!("for {}{}", names.join(", "), if presented.len() > SHOWN { ", …" } else { "" }),
            };
            let expected = expected.to_str();
            format!(
                "the server's certificate is not for {expected} but {names}; connect to a name that it is for, or the server needs another"
            )
        }
        Is::NotValidForName => "the server's certificate is for another name; connect to the one that it is for".into(),
        Is::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the server's certificate is an authority's, which vouches for others and not for a server; the server needs one that is none (`openssl req -x509` makes one with -addext basicConstraints=critical,CA:FALSE)".into()
        }
        // the second: by a key of another kind
        Is::BadSignature | Is::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => format!(
            "the server's certificate is not trusted: its signature is not by who it names; {TRUST}, if the authority has a new certificate"
        ),
        error => format!("the server's certificate is no good: {error}; the server needs another"),
    }
}

/// The name in what `webpki` calls a name: `DnsName("localhost")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}
