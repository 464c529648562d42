//! Sending files and texts over a connection.

mod error;
mod event;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, join, select};
use heartwire_core::connection::{Config, ConfigBuilder, EndedBy};
use heartwire_core::protocol::{self as machine, Refused, Why as NotAccepted};
use heartwire_core::wire::body::{Part, Whole};
use heartwire_core::wire::json_header::{Head, JsonFormat, JsonHeader};
use heartwire_std::connection::{Connection, Receiver, Sender};
use heartwire_std::options::ConnectionOptions;
use heartwire_std::runtime::Runtime;
use heartwire_std::sleep::timeout;

use crate::PIECE;
use crate::source::{
    Changed, FileSource, Item, Measured, Reader, SourceError, Sources, Why as NoSource, open, read_at,
};
pub use error::{Cut, SendError, Why};
pub use event::Event;

/// Options for connections to send over: [`config`], and the defaults for everything else.
#[must_use]
pub fn options() -> ConnectionOptions<JsonHeader> {
    // Nothing is asked that could be out of range.
    let config = config().build().unwrap_or_default();
    ConnectionOptions::new(JsonFormat::new()).config(config)
}

/// Limits that fit pieces of files: one waits while another is read.
#[must_use]
pub fn config() -> ConfigBuilder {
    Config::builder().queued_output(PIECE)
}

/// How long a receiver may take, after everything was sent, to store it: 60 s.
pub const CONFIRM: Duration = Duration::from_secs(60);
/// How often it is looked what has left, while the receiver's word is awaited.
const LOOK: Duration = Duration::from_millis(100);
/// How much is kept of what a receiver says, in bytes.
const ANSWER: usize = 64 * 1024;

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Texts that are no files.
    pub texts: u64,
}

/// Sends everything, ends its stream, and waits until the receiver ends its own: so it says that everything has its
/// name. For that it has `confirm` ([`CONFIRM`] is what one would wait), from when all has left. `on_event` is told
/// what happens; while it runs, nothing more is sent.
///
/// The connection should be fresh: what it sent before counts as well. How long a receiver that takes nothing is waited
/// for before that is the connection's to say, with [`ConfigBuilder::idle_timeout`]; without it, for ever.
/// It goes on while the receiver stores: it should be no shorter than `confirm`.
///
/// Files are read where that [keeps nobody waiting](Runtime::unblock), in pieces of 256 KiB; one is read while others
/// are on their way. A file that is shorter, longer, or written to when its last piece is read, was changed: it is
/// cut, and with it the connection, so that the receiver keeps nothing of it.
///
/// # Errors
///
/// [`SendError`]: not everything was sent, or the receiver did not confirm it.
///
/// # Cancel safety
///
/// Dropping the future cuts the connection.
pub async fn send<R: Runtime>(
    connection: Connection<JsonHeader>,
    sources: Sources,
    confirm: Duration,
    on_event: impl FnMut(Event) + Send,
) -> Result<Sent, SendError> {
    let (sender, mut receiver) = connection.split();
    let mut sending =
        Sending { sender: &sender, on_event, queued: VecDeque::new(), sent: Sent::default(), cut: None };
    let over = {
        let mut answer = pin!(answer(&mut receiver));
        let first = match select(pin!(sending.all::<R>(sources.items)), answer.as_mut()).await {
            Either::Left((given, _)) => Either::Left(given),
            Either::Right((said, _)) => Either::Right(said),
        };
        match first {
            Either::Left(Ok(())) => {
                // At once: who has read everything may end his stream without having seen the end of this one.
                sender.finish();
                sending.confirmed::<R>(confirm, answer).await
            }
            Either::Left(Err(source)) => Over::Broken(source),
            Either::Right(said) => Over::Early(said),
        }
    };
    sending.tell_sent();
    let Sending { sent, cut, .. } = sending;
    let why = match over {
        Over::Answered(said) => {
            let ended = receiver.end().await;
            match ended.is_orderly() {
                _ if !said.is_empty() => Why::NotStored(said),
                false => Why::Ended(ended),
                // Before this side's: whoever did that had not seen everything yet.
                true if ended.by == EndedBy::Peer => Why::EndedEarly,
                true => return Ok(sent),
            }
        }
        Over::Late => {
            sender.cut(machine::Cut::Aborted);
            Why::Unconfirmed(confirm)
        }
        Over::Early(said) => {
            let early = receiver.ended().is_none();
            sender.start_close();
            let ended = receiver.end().await;
            match early {
                _ if !said.is_empty() => Why::NotStored(said),
                true => Why::EndedEarly,
                false => Why::Ended(ended),
            }
        }
        Over::Broken(source) => {
            sender.start_close();
            receiver.end().await;
            Why::Source(source)
        }
    };
    Err(SendError { sent, cut, why })
}

/// How far it came.
enum Over {
    /// Everything was sent, and the receiver's stream has ended after it said this.
    Answered(String),
    /// Everything was sent, and the receiver takes too long.
    Late,
    /// The receiver's stream has ended before that, after it said this.
    Early(String),
    /// A file can't be sent.
    Broken(SourceError),
}

/// What the receiver says until the end of its stream.
async fn answer(receiver: &mut Receiver<JsonHeader>) -> String {
    let mut said = Vec::new();
    while let Some(part) = receiver.recv().await {
        if let Part::Piece(piece) = part {
            let room = ANSWER.saturating_sub(said.len());
            said.extend_from_slice(piece.get(..room).unwrap_or(&piece));
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// What goes on while everything is sent.
struct Sending<'a, E> {
    sender: &'a Sender<JsonHeader>,
    on_event: E,
    /// What was queued as a whole and may not have left.
    queued: VecDeque<Queued>,
    sent: Sent,
    /// The file that is being sent.
    cut: Option<Cut>,
}

/// A message that was queued as a whole.
enum Queued {
    File { name: String, size: u64 },
    Text { size: u64 },
}

impl<E: FnMut(Event) + Send> Sending<'_, E> {
    /// Queues everything. When the connection takes no more, the answer tells: this waits for ever then.
    async fn all<R: Runtime>(&mut self, items: Vec<Item>) -> Result<(), SourceError> {
        for item in items {
            match item {
                Item::File(source) => self.file::<R>(source).await?,
                Item::Text(text) => self.text(text).await,
            }
            self.tell_sent();
        }
        (self.on_event)(Event::Finished);
        Ok(())
    }

    async fn text(&mut self, body: Bytes) {
        let size = body.len() as u64;
        accepted(self.sender.send(Whole { head: Head::text(size), body }).await).await;
        self.queued.push_back(Queued::Text { size });
    }

    async fn file<R: Runtime>(&mut self, source: FileSource) -> Result<(), SourceError> {
        let FileSource { path, name, kind, found } = source;
        let failed = |why| SourceError::new(&path, why);
        let opening = path.clone();
        let opened = R::unblock(move || Opened::open(&opening, !found)).await.map_err(failed)?;
        let size = opened.measured.size;
        let check = || {
            let looking = opened.clone();
            R::unblock(move || looking.check())
        };
        if size == 0 {
            // Its head is all that the receiver waits for.
            check().await.map_err(failed)?;
        }
        let head = Head { kind, size, filename: name.clone() };
        let message = match self.sender.begin(head).await {
            Err(Refused { why: NotAccepted::Never(_), .. }) => return Err(failed(NoSource::LongName)),
            begun => accepted(begun).await,
        };
        (self.on_event)(Event::Begun { name: name.clone(), kind, size });
        self.cut = Some(Cut { name, read: 0, size });
        let mut given = 0;
        let mut reader = Reader::new(Arc::clone(&opened.file), 0, size, PIECE);
        let broken = |error| failed(opened.broken(error));
        let mut next = reader.piece::<R>().await.map_err(broken)?;
        while let Some(piece) = next {
            if reader.is_done() {
                // Before the last piece leaves: without it the receiver has nothing.
                check().await.map_err(failed)?;
            }
            given += piece.len() as u64;
            if let Some(cut) = &mut self.cut {
                cut.read = given;
            }
            let (sent, read) = join(message.send(piece), reader.piece::<R>()).await;
            accepted(sent).await;
            (self.on_event)(Event::Progress { sent: given });
            // What was queued before it may have left meanwhile.
            self.tell_sent();
            next = read.map_err(broken)?;
        }
        if message.end().is_err() {
            over::<()>().await;
        }
        if let Some(Cut { name, size, .. }) = self.cut.take() {
            self.queued.push_back(Queued::File { name, size });
        }
        Ok(())
    }

    /// Waits for the receiver's word, for so long from when all has left.
    async fn confirmed<R: Runtime>(
        &mut self,
        confirm: Duration,
        mut answer: Pin<&mut impl Future<Output = String>>,
    ) -> Over {
        let mut waited = Duration::ZERO;
        while waited < confirm {
            let look = LOOK.min(confirm.saturating_sub(waited));
            let all_left = self.sender.queued_bytes() == 0;
            if let Some(said) = timeout::<R::Timer, _>(look, answer.as_mut()).await {
                return Over::Answered(said);
            }
            self.tell_sent();
            if all_left {
                waited = waited.saturating_add(look);
            }
        }
        Over::Late
    }

    /// Tells of what has left.
    fn tell_sent(&mut self) {
        let left = self.sender.stats().messages_sent;
        while self.sent.files + self.sent.texts < left {
            let Some(queued) = self.queued.pop_front() else { return };
            match queued {
                Queued::File { name, size } => {
                    self.sent.files += 1;
                    self.sent.bytes += size;
                    (self.on_event)(Event::Sent { name, size });
                }
                Queued::Text { size } => {
                    self.sent.texts += 1;
                    (self.on_event)(Event::SentText { size });
                }
            }
        }
    }
}

/// What was accepted. If the connection takes no more, the receiver's side tells why: nothing comes here then.
async fn accepted<T, C>(asked: Result<T, Refused<C>>) -> T {
    match asked {
        Ok(accepted) => accepted,
        Err(_) => over().await,
    }
}

/// The connection takes no more.
async fn over<T>() -> T {
    std::future::pending().await
}

/// A file that is being sent.
#[derive(Clone, Debug)]
struct Opened {
    file: Arc<File>,
    measured: Measured,
}

impl Opened {
    fn open(path: &Path, follow: bool) -> Result<Self, NoSource> {
        let file = open(path, follow).map_err(NoSource::Io)?;
        let metadata = file.metadata().map_err(NoSource::Io)?;
        if !metadata.is_file() {
            return Err(NoSource::Special);
        }
        Ok(Self { file: Arc::new(file), measured: Measured::of(&metadata) })
    }

    /// Whether it is still what it was.
    fn check(&self) -> Result<(), NoSource> {
        let metadata = self.file.metadata().map_err(NoSource::Io)?;
        if let Some(changed) = self.measured.changed(&metadata) {
            return Err(NoSource::Changed(changed));
        }
        // What the system says of the length of its own files is not so.
        match read_at(&self.file, &mut [0], self.measured.size) {
            Ok(0) => Ok(()),
            Ok(_) => Err(NoSource::Changed(Changed::Longer)),
            Err(error) => Err(NoSource::Io(error)),
        }
    }

    /// Why it could not be read.
    fn broken(&self, error: io::Error) -> NoSource {
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return NoSource::Io(error);
        }
        match self.check() {
            Err(changed @ NoSource::Changed(_)) => changed,
            _ => NoSource::Changed(Changed::Shorter),
        }
    }
}
