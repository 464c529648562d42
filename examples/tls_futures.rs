//! Sessions over TLS on smol, with futures-rustls. As on tokio: the adapter makes the TCP connections, and a function of
//! yours makes TLS of them. Here the certificate of the server is the only one that the client trusts.
//!
//! ```text
//! server: got "hello" over tls
//! client: got "hello yourself"
//! ```

use std::error::Error;
use std::sync::Arc;

use futures_rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use futures_rustls::{TlsAcceptor, TlsConnector};
use heartwire_smol::{Address, Io, Key, Keys, Message, Options, Server, Session, connect_tls};

/// A program has its certificate and key in files; this one makes them up.
fn acceptor() -> Result<(TlsAcceptor, CertificateDer<'static>), Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_string()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let certificate = made.cert.der().clone();
    // The provider of cryptography is named, so that no other crate's choice for the whole process matters.
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())?;
    Ok((Arc::new(config).into(), certificate))
}

fn connector(trusted: CertificateDer<'static>) -> Result<TlsConnector, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

async fn greet(mut session: Session) {
    let over = match session.local_address() {
        Some(Address::Tls { .. }) => "tls",
        _ => "a bare connection",
    };
    while let Ok(message) = session.recv_message().await {
        println!("server: got {:?} over {over}", String::from_utf8_lossy(&message.content));
        if session.send(Message::text("hello yourself")).await.is_err() {
            break;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(async {
        let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
        let (acceptor, certificate) = acceptor()?;
        // `Io` stands around whatever reads and writes by futures-io.
        let secure = move |Io(stream)| {
            let accepting = acceptor.accept(stream);
            async { accepting.await.map(Io) }
        };
        let address = Address::Tls { host: "localhost".into(), port: 0 };
        let server = Server::bind_tls(&[address], options.clone(), secure).await?;
        let address = server.local_addresses()[0].clone();
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let serving = smol::spawn(server.serve(greet, async move {
            let _ = stopped.recv().await;
        }));

        let (connector, name) = (connector(certificate)?, ServerName::try_from("localhost")?);
        let secure = |Io(stream)| async move { connector.connect(name, stream).await.map(Io) };
        let mut session = connect_tls(&address, &options, secure).await?;
        session.send(Message::text("hello")).await?;
        println!("client: got {:?}", String::from_utf8_lossy(&session.recv_message().await?.content));
        session.close(None).await;

        drop(stop);
        serving.await;
        Ok(())
    })
}
