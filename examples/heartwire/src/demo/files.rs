//! Files: a folder arrives, what would lead out of it does not, and what is cut leaves nothing.

use std::fs;
use std::path::Path;

use heartwire_files::receive::Event;
use heartwire_files::send::Event as Sending;
use heartwire_files::{CONFIRM, OnExist, Sources, Store};
use heartwire_tokio::connection::Connection;
use heartwire_tokio::connection::json_header::JsonHeader;
use heartwire_tokio::{Address, Tokio, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::others::{Seen, Stage};
use super::timeline::{Failed, Timeline, ensure};

/// What is in the folder, and how long it is.
const FILES: [(&str, usize); 3] = [("notes.txt", 1_000), ("raw/1.bin", 5 << 20), ("values.csv", 70_000)];

pub(super) async fn play(timeline: &Timeline) -> Result<(), Failed> {
    timeline.heading("A folder is sent, and arrives byte for byte");
    let place = tempfile::tempdir()?;
    let received = place.path().join("received");
    let store = Store::open(&received, OnExist::Replace)?;
    let handler = move |connection, tell| receive(connection, tell, store.clone());
    let (stage, mut seen) = Stage::set(heartwire_files::receive::options(), handler).await?;

    let run = place.path().join("run");
    fs::create_dir_all(run.join("raw"))?;
    for (number, (name, len)) in (1..).zip(FILES) {
        fs::write(run.join(name), content(number, len))?;
    }
    let mut sources = Sources::new();
    sources.add(&run, None)?;
    let connection = connect(&stage.address, &heartwire_files::send::options()).await?;
    let sent = heartwire_files::send::<Tokio>(connection, sources, CONFIRM, |event| {
        if let Sending::Sent { name, size } = event {
            timeline.event("ida", format_args!("sent {name}, {size} bytes"));
        }
    });
    let sent = sent.await?;
    timeline.event("ida", format_args!("the receiver has stored all {} files", sent.files));
    for (number, (name, len)) in (1..).zip(FILES) {
        timeline.event("server", seen.next().await?);
        let same = fs::read(received.join("run").join(name))? == content(number, len);
        ensure(same, format_args!("{name} is there, and is another"))?;
    }
    timeline.event("ida", "what is there is what was sent, byte for byte");

    hostile(timeline, &stage, &mut seen, place.path()).await?;
    cut(timeline, &stage, &mut seen, &received).await?;
    stage.stop(timeline).await
}

/// Bytes that differ from file to file.
fn content(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * number % 251) as u8).collect()
}

/// A name that leads out of the folder.
async fn hostile(timeline: &Timeline, stage: &Stage, seen: &mut Seen, place: &Path) -> Result<(), Failed> {
    timeline.heading("A name that leads out of the folder is refused, and the next file goes on");
    let mut bare = bare(stage).await?;
    for (name, body) in [("../outside", "got out"), ("inside.txt", "stayed")] {
        bare.write_all(&head(name, body.len())).await?;
        bare.write_all(body.as_bytes()).await?;
    }
    bare.shutdown().await?;
    let refused = seen.next().await?;
    ensure(refused.starts_with("refused: ../outside"), format_args!("it was not refused: {refused}"))?;
    timeline.event("server", refused);
    timeline.event("server", seen.next().await?);
    let mut told = Vec::new();
    bare.read_to_end(&mut told).await?;
    // what comes back is a text with a header of its own
    let end = told.first_chunk().map_or(0, |len| 4 + u32::from_be_bytes(*len) as usize);
    let told = String::from_utf8_lossy(told.get(end..).unwrap_or_default());
    ensure(told.contains("../outside"), format_args!("mallory was told something else: {told:?}"))?;
    timeline.event("mallory", format_args!("is told: {}", told.trim_end()));
    ensure(!place.join("outside").exists(), "it got out")?;
    ensure(fs::read(place.join("received/inside.txt"))? == b"stayed", "the next file is another")
}

/// A sender that goes away.
async fn cut(timeline: &Timeline, stage: &Stage, seen: &mut Seen, received: &Path) -> Result<(), Failed> {
    timeline.heading("A sender goes away within a file: nothing is left of it");
    let mut bare = bare(stage).await?;
    bare.write_all(&head("half.bin", 1_000_000)).await?;
    bare.write_all(&[b'h'; 300_000]).await?;
    bare.shutdown().await?;
    let cut = seen.next().await?;
    ensure(cut.starts_with("cut: half.bin after 300000 of"), format_args!("it was not cut: {cut}"))?;
    timeline.event("server", cut);
    let mut names = fs::read_dir(received)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>, std::io::Error>>()?;
    names.sort();
    ensure(names == ["inside.txt", "run"], format_args!("there is something else: {names:?}"))?;
    timeline.event("server", format_args!("in the folder are {}, and nothing else", names.join(" and ")));
    Ok(())
}

async fn bare(stage: &Stage) -> Result<TcpStream, Failed> {
    let Address::Tcp { host, port } = &stage.address else { return Err("not on TCP".into()) };
    Ok(TcpStream::connect((host.as_str(), *port)).await?)
}

/// What stands before a file, by hand.
fn head(name: &str, size: usize) -> Vec<u8> {
    let json = format!(r#"{{"type": "UNKNOWN", "size": {size}, "filename": "{name}"}}"#);
    let mut head = (json.len() as u32).to_be_bytes().to_vec();
    head.extend_from_slice(json.as_bytes());
    head
}

/// Stores what comes, and tells of it.
async fn receive(connection: Connection<JsonHeader>, tell: mpsc::UnboundedSender<String>, store: Store) {
    let on_event = |event| {
        let line = match event {
            Event::Stored(stored) => format!("complete: {}, {} bytes", stored.name, stored.size),
            Event::Refused { name, why, .. } => format!("refused: {name}: {why}"),
            Event::Cut { name, received, size, why } => {
                format!("cut: {name} after {received} of {size} bytes: {why}")
            }
            _ => return,
        };
        let _ = tell.send(line);
    };
    heartwire_files::receive::<Tokio>(connection, &store, on_event).await;
}
