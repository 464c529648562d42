//! `lines serve`: a server that passes each line on to all.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use heartwire_tokio::connection::lines::{Line, Lines};
use heartwire_tokio::connection::{Config, Connection, Sender};
use heartwire_tokio::{Address, Code, ConnectionOptions, Why};
use tokio::time::timeout;

use super::{LineArgs, bytes};
use crate::exit::Outcome;
use crate::hub::{Hub, Member};
use crate::serving::Listen;
use crate::{duration, runtime, serving, tls};

/// How much of what a client sent may wait to be passed on, in bytes: it goes out at once, so it need not be much.
const RECEIVED: usize = 64 * 1024;
/// How long a client whose own lines fill its queue may take none of them.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pass lines on: each line that a client sends goes to all clients
///
/// The one who sent it gets it, too, and all get all lines in one order. Any program that speaks lines of UTF-8 is a
/// client: `nc` is one. A line ends with \n or \r\n; the last may lack its ending. Who ends its stream (`nc -N`) still
/// gets what is queued for it, then the end of the stream.
///
/// Nobody waits for a client that does not read: when a line comes while its queue is full, it is dropped. From a client
/// that does not read its own lines back no more are taken while they fill half of its queue; when it takes none of them
/// for 10s it is dropped. A line that is too long or not UTF-8 ends the connection of who sent it. The log says why.
///
/// Prints `listening on ADDRESS` on stdout for every address, once connections are accepted. Logs go to stderr.
///
/// SIGTERM or SIGINT sends the clients what is queued for them and the end of the stream, waits until they have ended
/// theirs, at most for the grace, and exits with 0; a second one exits at once with 1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen: tcp://HOST:PORT, tls://HOST:PORT or unix://PATH; repeatable
    #[arg(long, value_name = "ADDR", default_value = "tcp://127.0.0.1:8080")]
    listen: Vec<Address>,

    #[command(flatten)]
    tls: tls::server::Args,

    #[command(flatten)]
    lines: LineArgs,

    /// How much may wait for a client to read it; each line counts 64 bytes beside its text
    #[arg(long, value_name = "BYTES", value_parser = bytes(), default_value_t = 1024 * 1024)]
    queue: usize,

    #[command(flatten)]
    serving: serving::Args,
}

pub fn run(args: Args) -> Outcome {
    let listen = Listen::on(args.listen, &args.tls)?;
    let config = Config::builder().queued_output(args.queue).queued_event_bytes(RECEIVED);
    let options = args.serving.connections_with::<Lines>(args.lines.settings(), config)?;
    runtime::block_on(serve(listen, args.queue, options))
}

async fn serve(listen: Listen, queue: usize, options: ConnectionOptions<Lines>) -> Outcome {
    let room = Arc::new(Room { hub: Arc::default(), queue, clients: AtomicU64::new(0) });
    serving::serve(listen, options, move |connection| {
        let room = Arc::clone(&room);
        async move { room.serve(connection).await }
    })
    .await
}

/// Where the clients are.
struct Room {
    hub: Arc<Hub<Client>>,
    /// How much may wait for each, in bytes.
    queue: usize,
    /// How many have come.
    clients: AtomicU64,
}

#[derive(Clone)]
struct Client {
    number: u64,
    sender: Sender<Lines>,
}

impl Room {
    async fn serve(&self, mut connection: Connection<Lines>) {
        let number = self.clients.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Client { number, sender: connection.sender().clone() };
        // who reads that somebody is connected may count on him hearing what is sent
        let place = self.hub.join(client.clone());
        tracing::info!("{client}: connected");
        while let Some(line) = self.next_line(&client, &mut connection).await {
            tracing::info!("{client}: received {} bytes", line.as_bytes().len());
            for (other, why) in place.send_to_all(&line) {
                self.drop_client(&other, why);
            }
            // a client that sends much leaves the others time to read it
            tokio::task::yield_now().await;
        }
        drop(place);
        // who sends nothing more still gets what is queued for it
        connection.finish();
        let ended = connection.end().await;
        tracing::info!("{client}: closed: {}", serving::ending(&*ended));
    }

    /// The next line of a client; taken when it has read enough of what it sent before. None: no more will come.
    async fn next_line(&self, client: &Client, connection: &mut Connection<Lines>) -> Option<Line> {
        let enough = self.queue.div_ceil(2);
        while client.sender.queued_bytes() >= enough {
            let sent = client.sender.stats().bytes_sent;
            let reading = client.sender.room_for(|machine| machine.queued_output() < enough);
            if timeout(PATIENCE, reading).await.is_ok() {
                break;
            }
            if client.sender.stats().bytes_sent == sent {
                let waited = client.sender.queued_bytes();
                tracing::warn!("{client}: too-slow, dropped: {waited} bytes waited for it");
                let patience = duration::show(PATIENCE);
                let detail = format!("it took none of {waited} bytes for {patience}, and sent more");
                client.sender.fail(Code::TooSlow, detail);
            }
        }
        connection.recv().await
    }

    fn drop_client(&self, client: &Client, why: Why) {
        if why != Why::Full {
            tracing::warn!("{client}: a line was not passed on: {why}");
            return;
        }
        // it was full a moment ago, whatever has left since
        let waited = client.sender.queued_bytes().max(self.queue);
        tracing::warn!("{client}: too-slow, dropped: {waited} bytes waited for it");
        client.sender.fail(Code::TooSlow, format!("{waited} bytes waited for it to read them"));
    }
}

impl Member for Client {
    type Message = Line;

    fn queue(&self, line: &Line) -> Result<(), Why> {
        self.sender.queue(line)
    }
}

impl fmt::Display for Client {
    /// Clients of a Unix socket have no address to tell them apart by.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = serving::peer(self.sender.endpoints().peer.as_ref());
        write!(f, "client {} ({peer})", self.number)
    }
}
