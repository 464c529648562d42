//! Sessions over TLS on tokio, with rustls: the adapter makes the TCP connections, and a function of yours makes TLS of
//! them. TLS keeps what is said secret; the key of the sessions still says who may speak. The provider of cryptography
//! is named here, so that no other crate's choice for the whole process matters.
//!
//! ```text
//! client: got "hello" back
//! a client that does not know the certificate: invalid peer certificate: UnknownIssuer
//! ```

use std::error::Error;
use std::sync::Arc;

use heartwire_tokio::{Address, ConnectError, Io, Key, Keys, Message, Options, Server, Session, connect_tls};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A program has its certificate and key in files; this one makes them up.
fn acceptor() -> Result<(TlsAcceptor, CertificateDer<'static>), Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_string()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let certificate = made.cert.der().clone();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())?;
    Ok((Arc::new(config).into(), certificate))
}

/// Trusts these certificates, and those that they vouch for.
fn connector(
    trusted: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<TlsConnector, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

/// Makes TLS of a connection to the server; `Io` stands around whatever tokio reads and writes.
async fn secure(
    connector: TlsConnector,
    Io(stream): Io<TcpStream>,
) -> std::io::Result<Io<TlsStream<TcpStream>>> {
    let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
    connector.connect(name, stream).await.map(Io)
}

async fn echo(mut session: Session) {
    while let Ok(message) = session.recv_message().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
    let (acceptor, certificate) = acceptor()?;
    let secured = move |Io(stream)| {
        let accepting = acceptor.accept(stream);
        async { accepting.await.map(Io) }
    };
    let address = Address::Tls { host: "localhost".into(), port: 0 };
    let server = Server::bind_tls(&[address], options.clone(), secured).await?;
    let address = server.local_addresses()[0].clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(echo, stopped));

    let connector_that_knows = connector([certificate])?;
    let mut session = connect_tls(&address, &options, |stream| secure(connector_that_knows, stream)).await?;
    session.send(Message::text("hello")).await?;
    println!("client: got {:?} back", String::from_utf8_lossy(&session.recv_message().await?.content));
    session.close(None).await;

    let stranger = connector([])?;
    match connect_tls(&address, &options, |stream| secure(stranger, stream)).await {
        Err(ConnectError::Io { error, .. }) => {
            println!("a client that does not know the certificate: {error}");
        }
        other => return Err(format!("a client that does not know the certificate: {other:?}").into()),
    }

    drop(stop);
    serving.await?;
    Ok(())
}
