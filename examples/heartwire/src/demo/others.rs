//! The protocols without a session: sealed packets, lines, length-prefixed messages.

use std::future::Future;
use std::sync::Arc;

use heartwire_core::error::Code;
use heartwire_tokio::connection::body::Part;
use heartwire_tokio::connection::codec::Codec;
use heartwire_tokio::connection::length_prefixed::{Format, Head, LengthPrefixed};
use heartwire_tokio::connection::lines::{self, Line, Lines};
use heartwire_tokio::connection::sealed::{self, Sealed, SecretKey};
use heartwire_tokio::connection::{Connection, Sender};
use heartwire_tokio::{Address, Bytes, ConnectionOptions, Report, Server, connect};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::timeline::{Failed, Timeline, ensure};
use crate::hub::Hub;

/// A message that nobody holds as a whole, in bytes, and its pieces.
const LARGE: u64 = 64 << 20;
const PIECE: usize = 64 << 10;

/// A server, and how it is stopped.
pub(super) struct Stage {
    pub(super) address: Address,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Report>,
}

impl Stage {
    /// Serves every connection with this handler, which is given what to tell the demo with.
    pub(super) async fn set<C, H, F>(
        options: ConnectionOptions<C>,
        handler: H,
    ) -> Result<(Self, Seen), Failed>
    where
        C: Codec,
        H: Fn(Connection<C>, mpsc::UnboundedSender<String>) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], options).await?;
        let address = server.local_addresses().first().cloned().ok_or("the server listens nowhere")?;
        let (tell, seen) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let serve = server.serve(move |connection| handler(connection, tell.clone()), stopped);
        Ok((Self { address, stop, serving: tokio::spawn(serve) }, Seen(seen)))
    }

    pub(super) async fn stop(self, timeline: &Timeline) -> Result<(), Failed> {
        drop(self.stop);
        let report = self.serving.await?;
        ensure(report.cut.is_empty(), format_args!("the stop was not graceful: {report}"))?;
        timeline.event("server", &report);
        Ok(())
    }
}

/// What a server tells.
pub(super) struct Seen(mpsc::UnboundedReceiver<String>);

impl Seen {
    pub(super) async fn next(&mut self) -> Result<String, Failed> {
        self.0.recv().await.ok_or_else(|| "the server is gone".into())
    }
}

pub(super) async fn play(timeline: &Timeline) -> Result<(), Failed> {
    sealed(timeline).await?;
    lines(timeline).await?;
    channel(timeline).await
}

async fn sealed(timeline: &Timeline) -> Result<(), Failed> {
    timeline.heading("Sealed packets: what is asked and answered is encrypted under a shared key");
    let options = |key| ConnectionOptions::<Sealed>::new(sealed::Settings::new(SecretKey::new(key)));
    let (stage, mut seen) = Stage::set(options([1; 32]), answer).await?;
    let fay = connect(&stage.address, &options([1; 32])).await?;
    let (sender, mut receiver) = fay.split();
    sender.send(Bytes::from("is anybody there?")).await?;
    timeline.event("server", seen.next().await?);
    let answer = receiver.recv().await.ok_or("no answer came")?;
    ensure(answer == "is anybody there?", "another answer came")?;
    timeline.event("fay", format_args!("opened the answer: {}", String::from_utf8_lossy(&answer)));
    sender.finish();

    let mut mallory = connect(&stage.address, &options([2; 32])).await?;
    mallory.send(Bytes::from("let me in")).await?;
    let ended = seen.next().await?;
    ensure(ended.contains(Code::DecryptionFailed.as_str()), format_args!("it was let in: {ended}"))?;
    timeline.event("server", ended);
    ensure(mallory.recv().await.is_none(), "the server answered")?;
    let received = mallory.stats().bytes_received;
    ensure(received == 0, "the server said something")?;
    timeline.event("mallory", "the end of the stream, without a word");
    drop(mallory);
    stage.stop(timeline).await
}

/// Sends everything back.
async fn answer(mut connection: Connection<Sealed>, tell: mpsc::UnboundedSender<String>) {
    while let Some(request) = connection.recv().await {
        let _ = tell.send(format!("asked: {}", String::from_utf8_lossy(&request)));
        if connection.send(request).await.is_err() {
            break;
        }
    }
    connection.start_close();
    let ended = connection.end().await;
    if !ended.is_orderly() {
        let _ = tell.send(ended.to_string());
    }
    connection.close().await;
}

async fn lines(timeline: &Timeline) -> Result<(), Failed> {
    timeline.heading("Lines go to everybody, and a bare socket is as good a client as any");
    let hub: Arc<Hub<Sender<Lines>>> = Arc::default();
    let options = ConnectionOptions::<Lines>::new(lines::Settings::default());
    let handler = move |connection, tell| broadcast(connection, tell, Arc::clone(&hub));
    let (stage, mut seen) = Stage::set(options.clone(), handler).await?;

    let mut gil = connect(&stage.address, &options).await?;
    timeline.event("server", seen.next().await?);
    let Address::Tcp { host, port } = &stage.address else { return Err("not on TCP".into()) };
    let bare = TcpStream::connect((host.as_str(), *port)).await?;
    timeline.event("server", seen.next().await?);
    let mut bare = BufReader::new(bare);

    gil.send(Line::new("who is there?")?).await?;
    timeline.event("gil", format_args!("reads: {}", next_line(&mut gil).await?));
    let mut line = String::new();
    bare.read_line(&mut line).await?;
    ensure(line == "who is there?\n", format_args!("another line came: {line:?}"))?;
    timeline.event("nc", format_args!("reads: {}", line.trim_end()));

    bare.write_all("someone with nothing but a socket\r\n".as_bytes()).await?;
    timeline.event("gil", format_args!("reads: {}", next_line(&mut gil).await?));
    bare.shutdown().await?;
    let mut rest = String::new();
    bare.read_to_string(&mut rest).await?;
    ensure(
        rest == "someone with nothing but a socket\n",
        format_args!("not all of it came before the end: {rest:?}"),
    )?;
    timeline.event("nc", "reads its own line too, and the end of the stream");
    gil.close().await;
    stage.stop(timeline).await
}

async fn next_line(client: &mut Connection<Lines>) -> Result<String, Failed> {
    let line = client.recv().await.ok_or("the server closed the connection")?;
    Ok(line.as_str().into())
}

/// Sends every line to everybody.
async fn broadcast(
    mut connection: Connection<Lines>,
    tell: mpsc::UnboundedSender<String>,
    hub: Arc<Hub<Sender<Lines>>>,
) {
    let place = hub.join(connection.sender().clone());
    let peer = connection.endpoints().peer.as_ref().map_or_else(String::new, ToString::to_string);
    let _ = tell.send(format!("connected: {peer}"));
    while let Some(line) = connection.recv().await {
        place.send_to_all(&line);
    }
    drop(place);
    connection.close().await;
}

async fn channel(timeline: &Timeline) -> Result<(), Failed> {
    timeline
        .heading("A channel: a large message in pieces, which nobody holds, and a small one the other way");
    let options = ConnectionOptions::<LengthPrefixed>::new(Format::default());
    let (stage, mut seen) = Stage::set(options.clone(), receive).await?;
    let hana = connect(&stage.address, &options).await?;
    let (sender, mut receiver) = hana.split();
    let body = async {
        let message = sender.begin(Head { size: LARGE }).await?;
        let piece = Bytes::from(vec![b'h'; PIECE]);
        for _ in 0..LARGE / PIECE as u64 {
            message.send(piece.clone()).await?;
        }
        message.end().map_err(|why| why.to_string())?;
        sender.finish();
        Ok::<(), Failed>(())
    };
    let answer = async {
        let mut answer = Vec::new();
        while let Some(part) = receiver.recv().await {
            match part {
                Part::Head(head) => {
                    timeline.event("hana", format_args!("{} bytes come the other way", head.size));
                }
                Part::Piece(piece) => answer.extend_from_slice(&piece),
                Part::End => {}
            }
        }
        Ok::<_, Failed>(answer)
    };
    let ((), answer) = tokio::try_join!(body, answer)?;
    timeline.event("server", seen.next().await?);
    ensure(answer == b"while you speak, I do too", "another message came back")?;
    timeline.event("hana", format_args!("received: {}", String::from_utf8_lossy(&answer)));
    let ended = receiver.end().await;
    ensure(ended.is_orderly(), format_args!("it did not end in order: {ended}"))?;
    timeline.event("hana", &ended);
    stage.stop(timeline).await
}

/// Counts what comes, and says something meanwhile.
async fn receive(mut connection: Connection<LengthPrefixed>, tell: mpsc::UnboundedSender<String>) {
    let _ = connection.send(Bytes::from("while you speak, I do too").into()).await;
    let (mut size, mut pieces, mut right) = (0, 0_u64, true);
    while let Some(part) = connection.recv().await {
        match part {
            Part::Head(_) => (size, pieces) = (0, 0),
            Part::Piece(piece) => {
                size += piece.len() as u64;
                pieces += 1;
                right &= piece.iter().all(|byte| *byte == b'h');
            }
            Part::End if right && size == LARGE => {
                let _ = tell.send(format!("received {} MiB in {pieces} pieces", size >> 20));
            }
            Part::End => {
                let _ = tell.send(format!("received {size} bytes, and not those that were sent"));
            }
        }
    }
    connection.close().await;
}
