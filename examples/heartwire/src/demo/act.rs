//! What is played, act by act.

use heartwire_core::error::Code;
use heartwire_tokio::{
    ConnectError, Ended, EndedBy, Event, Key, Keys, Message, Options, Session, connect, connect_io,
};
use tokio::net::TcpStream;

use super::faults::{Faults, Faulty};
use super::stage::{SILENCE, Seen, Stage};
use super::timeline::{Failed, Timeline, ensure};

/// A large message, in bytes: two thousand chunks.
const LARGE: usize = 16 << 20;
/// Small messages sent behind it.
const SMALL: usize = 5;
/// A line in several scripts, each by one client in turn.
const LINES: [&str; 6] =
    ["Hello, world", "Привет, мир", "你好，世界", "שלום עולם", "नमस्ते दुनिया", "Γειά σου Κόσμε 🌍"];

pub(super) async fn play(timeline: &Timeline) -> Result<(), Failed> {
    let mut stage = Stage::set().await?;
    timeline.heading("A server listens on TCP and on a Unix socket, and three clients connect");
    timeline.event("server", format_args!("listening on {}", stage.tcp));
    timeline.event("server", format_args!("listening on {}", stage.local));
    let mut ada = join(timeline, &mut stage, "ada", false).await?;
    let mut boris = join(timeline, &mut stage, "boris", true).await?;
    let mut chen = join(timeline, &mut stage, "chen", false).await?;

    timeline.heading("Text goes there and comes back, whatever the script");
    for (i, line) in LINES.iter().enumerate() {
        let (name, client) = match i % 3 {
            0 => ("ada", &mut ada),
            1 => ("boris", &mut boris),
            _ => ("chen", &mut chen),
        };
        client.send(Message::text(*line)).await?;
        let back = client.recv_message().await?;
        ensure(back.content == line.as_bytes(), "another text came back")?;
        timeline.event(name, format_args!("sent and got back: {}", String::from_utf8_lossy(&back.content)));
    }
    for _ in LINES {
        ensure(matches!(stage.seen().await?, Seen::Message { .. }), "the server saw something else")?;
    }

    overtake(timeline, &mut stage, &mut ada).await?;
    heartbeats(timeline, [("ada", &mut ada), ("boris", &mut boris), ("chen", &mut chen)]).await?;
    wrong_key(timeline, &stage).await?;
    corrupted(timeline, &mut stage).await?;
    silent(timeline, &mut stage).await?;

    timeline.heading("The server stops gracefully: it tells everyone");
    let clients = [("ada", ada), ("boris", boris), ("chen", chen)];
    let stopping = tokio::spawn(stage.stop());
    for (name, mut client) in clients {
        timeline.expect("a goodbye for each client");
        let ended = last(&mut client).await?;
        ensure(
            ended.by == EndedBy::Peer && ended.is_orderly() && ended.detail == "Server shutting down",
            format_args!("{name} was told something else: {ended}"),
        )?;
        timeline.event(name, &ended);
    }
    let report = stopping.await??;
    ensure(report.closed == 3 && report.cut.is_empty(), format_args!("the stop was not graceful: {report}"))?;
    timeline.event("server", &report);
    Ok(())
}

/// A client connects; both sides see the session.
async fn join(timeline: &Timeline, stage: &mut Stage, name: &str, local: bool) -> Result<Session, Failed> {
    let address = if local { stage.local.clone() } else { stage.tcp.clone() };
    let session = stage.connect(&address).await?;
    timeline.event(name, format_args!("session {} over {}", session.id(), address));
    match stage.seen().await? {
        Seen::Opened { peer, id } if id == session.id() => {
            timeline.event("server", format_args!("session {id} from {peer}"));
            Ok(session)
        }
        other => Err(format!("the server saw something else: {other:?}").into()),
    }
}

/// A large message goes in chunks, and small ones sent after it arrive before it.
async fn overtake(timeline: &Timeline, stage: &mut Stage, client: &mut Session) -> Result<(), Failed> {
    timeline.heading("A large message goes in chunks, and small ones sent after it overtake it");
    let content: Vec<u8> = (0..LARGE).map(|i| (i % 251) as u8).collect();
    client.send(Message::binary(content.clone())).await?;
    timeline.event("ada", format_args!("{} MiB queued", LARGE >> 20));
    for i in 1..=SMALL {
        client.send(Message::text(format!("small message {i}"))).await?;
    }
    let mut before = 0;
    loop {
        match stage.seen().await? {
            Seen::Message { size: LARGE, .. } => break,
            Seen::Message { text, .. } => {
                before += 1;
                timeline.event("server", format_args!("received: {text}"));
            }
            other => return Err(format!("the server saw something else: {other:?}").into()),
        }
    }
    timeline.event(
        "server",
        format_args!("received the {} MiB, after {before} messages that were sent later", LARGE >> 20),
    );
    ensure(before > 0, "no small message overtook the large one")?;
    let mut left = SMALL + 1;
    while left > 0 {
        let message = client.recv_message().await?;
        left -= 1;
        if message.content.len() == LARGE {
            ensure(message.content == content, "the large message came back changed")?;
            timeline.event("ada", format_args!("all {} MiB came back, byte for byte", LARGE >> 20));
        }
    }
    for _ in before..SMALL {
        ensure(matches!(stage.seen().await?, Seen::Message { .. }), "the server saw something else")?;
    }
    Ok(())
}

async fn heartbeats(timeline: &Timeline, clients: [(&str, &mut Session); 3]) -> Result<(), Failed> {
    timeline.heading("Heartbeats come back, and tell the round-trip time");
    for (name, client) in clients {
        loop {
            match client.recv().await {
                Some(Event::RoundTrip(time)) => {
                    timeline.event(name, format_args!("round trip {} µs", time.as_micros()));
                    break;
                }
                Some(Event::Ended(ended)) => return Err(ended.into()),
                _ => {}
            }
        }
    }
    Ok(())
}

async fn wrong_key(timeline: &Timeline, stage: &Stage) -> Result<(), Failed> {
    timeline.heading("A client with another key is refused, and refuses");
    let options = Options::new(Keys::new(Key::new(b"a key that nobody else has")?));
    match connect(&stage.tcp, &options).await {
        Err(ConnectError::Handshake(ended)) if ended.code == Code::MacMismatch => {
            timeline.event("mallory", format_args!("no session: {ended}"));
            Ok(())
        }
        other => Err(format!("another key was not noticed: {other:?}").into()),
    }
}

/// A client over TCP whose connection can be made faulty.
async fn join_faulty(
    timeline: &Timeline,
    stage: &mut Stage,
    name: &str,
) -> Result<(Session, Faults), Failed> {
    let heartwire_tokio::Address::Tcp { host, port } = &stage.tcp else {
        return Err("the server does not listen on TCP".into());
    };
    let faults = Faults::default();
    let io = TcpStream::connect((host.as_str(), *port)).await?;
    let session = connect_io(Faulty { io, faults: faults.clone() }, &stage.options).await?;
    match stage.seen().await? {
        Seen::Opened { id, .. } if id == session.id() => {
            timeline.event(name, format_args!("session {id}, over a connection that will fail"));
            Ok((session, faults))
        }
        other => Err(format!("the server saw something else: {other:?}").into()),
    }
}

async fn corrupted(timeline: &Timeline, stage: &mut Stage) -> Result<(), Failed> {
    timeline.heading("A frame is corrupted on its way: it is refused, and both sides know why");
    let (mut client, faults) = join_faulty(timeline, stage, "dora").await?;
    faults.corrupt();
    client.send(Message::text("this will not arrive as it was sent")).await?;
    let ended = stage.seen_end().await?;
    ensure(
        ended.code.as_str().ends_with("crc-mismatch"),
        format_args!("it was not refused for what it was: {ended}"),
    )?;
    timeline.event("server", &ended);
    let told = last(&mut client).await?;
    ensure(
        told.by == EndedBy::PeerError && told.code == ended.code,
        format_args!("dora was not told: {told}"),
    )?;
    timeline.event("dora", &told);
    Ok(())
}

async fn silent(timeline: &Timeline, stage: &mut Stage) -> Result<(), Failed> {
    timeline
        .heading(&format!("A peer falls silent, as if a cable was pulled: it is dropped after {SILENCE:?}"));
    let (mut client, faults) = join_faulty(timeline, stage, "emil").await?;
    faults.fall_silent();
    let ended = stage.seen_end().await?;
    ensure(ended.code == Code::PeerSilent, format_args!("the server saw something else: {ended}"))?;
    timeline.event("server", &ended);
    let told = last(&mut client).await?;
    ensure(told.by == EndedBy::PeerError && told.code == Code::PeerSilent, format_args!("emil: {told}"))?;
    timeline.event("emil", &told);
    Ok(())
}

/// The last event of a session.
async fn last(session: &mut Session) -> Result<Ended, Failed> {
    loop {
        match session.recv().await {
            Some(Event::Ended(ended)) => return Ok(ended),
            Some(_) => {}
            None => return Err("a session ended without a last event".into()),
        }
    }
}
