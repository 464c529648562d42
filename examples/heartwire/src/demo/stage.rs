//! What the demo is played on: a server that tells what it sees, and its addresses.

use std::time::Duration;

use heartwire_tokio::{Address, Config, Ended, Event, Key, Keys, Options, Report, Server, Session, connect};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::timeline::{Failed, ensure};

/// Short times, so that the demo is: a heartbeat, and how long a peer may be silent.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(200);
pub(super) const SILENCE: Duration = Duration::from_millis(1000);

/// What the server saw.
#[derive(Debug)]
pub(super) enum Seen {
    Opened { peer: String, id: String },
    Message { size: usize, text: String },
    Ended(Ended),
}

pub(super) struct Stage {
    pub(super) options: Options,
    pub(super) tcp: Address,
    pub(super) local: Address,
    seen: mpsc::UnboundedReceiver<Seen>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Report>,
    /// Holds the Unix socket; goes with the stage.
    folder: TempDir,
}

impl Stage {
    /// Starts the server: it sends every message back, and tells the stage what it sees.
    pub(super) async fn set() -> Result<Self, Failed> {
        let config = Config::builder().heartbeat_interval(HEARTBEAT).silence_timeout(SILENCE).build()?;
        let options =
            Options::new(Keys::new(Key::new(b"the key that this demo's programs share")?)).config(config);
        let folder = tempfile::Builder::new().prefix("heartwire-demo-").tempdir()?;
        let local = Address::from(folder.path().join("chat.sock"));
        let server = Server::bind(&["tcp://127.0.0.1:0".parse()?, local.clone()], options.clone()).await?;
        let tcp = server.local_addresses().first().cloned().ok_or("the server listens nowhere")?;
        let (tell, seen) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(move |session| echo(session, tell.clone()), stopped));
        Ok(Self { options, tcp, local, seen, stop, serving, folder })
    }

    pub(super) async fn connect(&self, address: &Address) -> Result<Session, Failed> {
        Ok(connect(address, &self.options).await?)
    }

    /// The next thing the server sees.
    pub(super) async fn seen(&mut self) -> Result<Seen, Failed> {
        self.seen.recv().await.ok_or_else(|| "the server is gone".into())
    }

    /// Waits until the server has seen a session end, and says how.
    pub(super) async fn seen_end(&mut self) -> Result<Ended, Failed> {
        loop {
            if let Seen::Ended(ended) = self.seen().await? {
                return Ok(ended);
            }
        }
    }

    /// Has the server stop, and waits for its report.
    pub(super) async fn stop(self) -> Result<Report, Failed> {
        drop(self.stop);
        let report = self.serving.await?;
        let left = std::fs::read_dir(self.folder.path())?.count();
        ensure(left == 0, "the server left its socket's file behind")?;
        Ok(report)
    }
}

async fn echo(mut session: Session, tell: mpsc::UnboundedSender<Seen>) {
    let peer = session.peer_address().map_or_else(|| "a Unix socket".into(), ToString::to_string);
    // Nobody listens any more when the demo is over.
    let _ = tell.send(Seen::Opened { peer, id: session.id().into() });
    while let Some(event) = session.recv().await {
        match event {
            Event::Message(message) => {
                let size = message.content.len();
                let head = message.content.get(..size.min(40)).unwrap_or_default();
                let _ = tell.send(Seen::Message { size, text: String::from_utf8_lossy(head).into_owned() });
                // Refused: the session is closing, and the last event is next.
                let _ = session.send(message).await;
            }
            Event::Ended(ended) => {
                let _ = tell.send(Seen::Ended(ended));
            }
            _ => {}
        }
    }
}
