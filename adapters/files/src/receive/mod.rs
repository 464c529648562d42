//! Receiving what a connection carries into a folder.

mod batch;
mod event;
mod report;
mod writer;

use std::fmt::Display;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::future::{Either, select};
use heartwire_core::connection::{Config, ConfigBuilder, Ended};
use heartwire_core::wire::body::Whole;
use heartwire_core::wire::json_header::{Head, JsonFormat, JsonHeader};
use heartwire_std::connection::Connection;
use heartwire_std::options::ConnectionOptions;
use heartwire_std::runtime::Runtime;

use crate::PIECE;
use crate::store::{Refusal, Store};
use batch::Batch;
pub use event::Event;
use report::Report;
use writer::{Broken, Writer};

/// Options for connections to receive from: [`config`], and the defaults for everything else.
#[must_use]
pub fn options() -> ConnectionOptions<JsonHeader> {
    // Nothing is asked that could be out of range.
    let config = config().build().unwrap_or_default();
    ConnectionOptions::new(JsonFormat::new()).config(config)
}

/// Limits that fit pieces of files: little waits while another is on the disk. And the end of the stream
/// [confirms](ConfigBuilder::end_confirms) what was received.
#[must_use]
pub fn config() -> ConfigBuilder {
    Config::builder().queued_event_bytes(PIECE).end_confirms(true)
}

/// What came of a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received {
    /// Files that were stored.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Texts that are no files.
    pub texts: u64,
    /// Files that were passed over, because those that are there stay.
    pub skipped: u64,
    /// Files and texts that were refused.
    pub refused: u64,
    /// Whether a file was cut.
    pub cut: bool,
    /// How the connection ended.
    pub ended: Arc<Ended<Whole<Head>>>,
}

/// Receives everything that a connection carries, into a folder, until the peer ends its stream; then ends its own,
/// which tells the peer that everything has its name. `on_event` is told what happens; while it runs, nothing more
/// is received.
///
/// The disk's work is done where it [keeps nobody waiting](Runtime::unblock), in pieces of at least 256 KiB where
/// that much comes, while the next is received: at most twice that is held, and texts of at most 1 MiB.
///
/// A file is refused by itself for what concerns it alone: its name, what is there of that name. When the disk fails,
/// the connection ends. If anything was refused, or the disk failed, the sender is told in a text that comes back before
/// the end of the stream, a line for each; senders that don't read it take no harm.
///
/// The connection should be made with [`options`], by a server or a `connect`: then its end is none that could be
/// mistaken when it is cut. (One that is made of a socket of your own, by `accept_io`, is not reset.)
///
/// To do something with what came before the sender is told, see [`unconfirmed`].
///
/// # Cancel safety
///
/// Dropping the future cuts the connection and the file that is being received, of which nothing is left. What the disk
/// was given before goes on: files in it that are complete still take their names, and nobody is told.
pub async fn receive<R: Runtime>(
    connection: Connection<JsonHeader>,
    store: &Store,
    on_event: impl FnMut(Event) + Send,
) -> Received {
    unconfirmed::<R>(connection, store, on_event).await.confirm().await
}

/// Receives as [`receive`] does, and does not tell the peer yet: that is to be done when the application has dealt with
/// what came, too.
///
/// # Cancel safety
///
/// As [`receive`].
pub async fn unconfirmed<R: Runtime>(
    connection: Connection<JsonHeader>,
    store: &Store,
    mut on_event: impl FnMut(Event) + Send,
) -> Unconfirmed {
    let mut receiving = Receiving {
        connection,
        gathered: Batch::default(),
        spare: Some((Writer::new(store.clone()), Batch::default())),
        text: None,
        tally: Tally::default(),
    };
    let broken = receiving.run::<R>(&mut on_event).await.is_err();
    receiving.finish::<R>(broken, &mut on_event).await
}

/// Everything was received, and the peer does not know it. Dropping it cuts the connection.
#[derive(Debug)]
#[must_use = "the peer waits to be told"]
pub struct Unconfirmed {
    connection: Connection<JsonHeader>,
    tally: Tally,
    broken: bool,
}

impl Unconfirmed {
    /// Something came that the application can't deal with, for this reason: the sender will be told. `name` is that of
    /// the file, or says what else it was.
    pub fn refuse(&mut self, name: &str, why: impl Display) {
        self.tally.refused += 1;
        self.tally.report.add(name, why);
    }

    /// Tells the peer what was not received, and that this is all.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is done may cut the connection.
    pub async fn confirm(self) -> Received {
        let Self { mut connection, mut tally, broken } = self;
        if let Some(report) = std::mem::take(&mut tally.report).take() {
            // A sender that is gone does not read it.
            let _ = connection.send(report).await;
        }
        let ended = if broken {
            // What the peer goes on sending is of no use.
            connection.close().await
        } else {
            connection.finish();
            connection.end().await
        };
        tally.received(ended)
    }
}

/// What goes on while a connection is received.
struct Receiving {
    connection: Connection<JsonHeader>,
    /// What came and was not handed over yet.
    gathered: Batch,
    /// Who writes, and an empty batch; none while it does.
    spare: Option<(Writer, Batch)>,
    text: Option<batch::Text>,
    tally: Tally,
}

/// What comes back from the disk.
struct Done {
    writer: Writer,
    batch: Batch,
    events: Vec<Event>,
    written: Result<(), Broken>,
}

type Writing = Pin<Box<dyn Future<Output = Done> + Send>>;

impl Receiving {
    /// Receives until nothing more comes, and everything is on the disk.
    async fn run<R: Runtime>(&mut self, on_event: &mut (impl FnMut(Event) + Send)) -> Result<(), Broken> {
        let mut writing: Option<Writing> = None;
        let mut over = false;
        loop {
            if self.gathered.is_due() || over && !self.gathered.is_empty() {
                writing = writing.or_else(|| self.write::<R>());
            }
            let takes = !over && self.gathered.has_room();
            let next = match (takes, &mut writing) {
                (true, Some(writing)) => match select(pin!(self.connection.recv()), writing).await {
                    Either::Left((part, _)) => Either::Left(part),
                    Either::Right((done, _)) => Either::Right(done),
                },
                (true, None) => Either::Left(self.connection.recv().await),
                (false, Some(writing)) => Either::Right(writing.await),
                (false, None) => return Ok(()),
            };
            match next {
                Either::Left(Some(part)) => self.gathered.add(part, &mut self.text),
                Either::Left(None) => over = true,
                Either::Right(Done { writer, batch, events, written }) => {
                    writing = None;
                    self.spare = Some((writer, batch));
                    self.tell(events, on_event);
                    written?;
                }
            }
        }
    }

    /// Hands what was gathered to the disk, if that has nothing to do.
    fn write<R: Runtime>(&mut self) -> Option<Writing> {
        let (mut writer, empty) = self.spare.take()?;
        let mut batch = std::mem::replace(&mut self.gathered, empty);
        Some(Box::pin(R::unblock(move || {
            let mut events = Vec::new();
            let written = writer.run(&mut batch, &mut events);
            Done { writer, batch, events, written }
        })))
    }

    /// Nothing more is received: what is there of a file that is not complete is removed.
    async fn finish<R: Runtime>(
        mut self,
        broken: bool,
        on_event: &mut (impl FnMut(Event) + Send),
    ) -> Unconfirmed {
        let ended = self.connection.ended().map(ToString::to_string);
        if let (Some((mut writer, _)), Some(why)) = (self.spare.take(), ended) {
            let events = R::unblock(move || {
                let mut events = Vec::new();
                writer.cut(why, &mut events);
                events
            });
            let events = events.await;
            self.tell(events, on_event);
        }
        let Self { connection, tally, .. } = self;
        Unconfirmed { connection, tally, broken }
    }

    fn tell(&mut self, events: Vec<Event>, on_event: &mut (impl FnMut(Event) + Send)) {
        for event in events {
            self.tally.add(&event);
            on_event(event);
        }
    }
}

/// What something that was refused is called: by its name, if it has one.
#[must_use]
pub fn called<'a>(name: &'a str, why: &Refusal) -> &'a str {
    match why {
        Refusal::LongText { .. } => "a text",
        _ if name.is_empty() => "a file without a name",
        _ => name,
    }
}

/// What came of a connection so far.
#[derive(Debug, Default)]
struct Tally {
    files: u64,
    bytes: u64,
    texts: u64,
    skipped: u64,
    refused: u64,
    cut: bool,
    report: Report,
}

impl Tally {
    fn add(&mut self, event: &Event) {
        match event {
            Event::Begun { .. } | Event::Progress { .. } => {}
            Event::Stored(stored) => {
                self.files += 1;
                self.bytes += stored.size;
            }
            Event::Skipped { .. } => self.skipped += 1,
            Event::Refused { name, why, .. } => {
                self.refused += 1;
                self.report.add(called(name, why), why);
            }
            Event::Cut { name, why, .. } => {
                self.cut = true;
                // What is to be done about it, and where, is for the receiver's own log.
                self.report.add(name, why.split(';').next().unwrap_or_default());
                self.report.end();
            }
            Event::Text(_) => self.texts += 1,
        }
    }

    fn received(self, ended: Arc<Ended<Whole<Head>>>) -> Received {
        let Self { files, bytes, texts, skipped, refused, cut, .. } = self;
        Received { files, bytes, texts, skipped, refused, cut, ended }
    }
}
