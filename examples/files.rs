//! Files, on tokio: a folder is sent, and received into another. A callback tells how far it is. When sending is done
//! without an error, the receiver has said that everything is on its disk, under its name.
//!
//! ```text
//! outbox/log.txt: 262144 of 600000 bytes
//! outbox/log.txt: 524288 of 600000 bytes
//! outbox/log.txt: 600000 of 600000 bytes
//! outbox/run/data.csv: 8 of 8 bytes
//! sent and stored: 2 files, 600008 bytes
//! ```

use std::error::Error;
use std::fs;

use heartwire_files::send::Event;
use heartwire_files::{CONFIRM, OnExist, Sources, Store, receive, send};
use heartwire_tokio::{Server, Tokio, connect};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let outbox = folder.path().join("outbox");
    fs::create_dir_all(outbox.join("run"))?;
    fs::write(outbox.join("log.txt"), [b'x'; 600_000])?;
    fs::write(outbox.join("run/data.csv"), "a,b\n1,2\n")?;

    let store = Store::open(folder.path().join("inbox"), OnExist::Replace)?;
    let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], receive::options()).await?;
    let address = server.local_addresses()[0].clone();
    let take = move |connection| {
        let store = store.clone();
        async move {
            receive::<Tokio>(connection, &store, |_| {}).await;
        }
    };
    tokio::spawn(server.serve(take, std::future::pending::<()>()));

    let mut sources = Sources::new();
    sources.add(&outbox, None)?;
    let connection = connect(&address, &send::options()).await?;
    let (mut file, mut of) = (String::new(), 0);
    let progress = |event| match event {
        Event::Begun { name, size, .. } => (file, of) = (name, size),
        Event::Progress { sent } => println!("{file}: {sent} of {of} bytes"),
        _ => {}
    };
    let sent = send::<Tokio>(connection, sources, CONFIRM, progress).await?;
    println!("sent and stored: {} files, {} bytes", sent.files, sent.bytes);
    assert_eq!(fs::read(folder.path().join("inbox/outbox/run/data.csv"))?, b"a,b\n1,2\n");
    Ok(())
}
