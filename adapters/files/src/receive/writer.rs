//! The blocking half of receiving: what is received goes to the disk.

use heartwire_core::wire::json_header::Head;

use super::batch::{Batch, Step};
use super::event::Event;
use crate::TEXT_LIMIT;
use crate::store::{Failed, Incoming, Refusal, Store};

/// Writes what one connection receives.
#[derive(Debug)]
pub(super) struct Writer {
    store: Store,
    file: Option<File>,
}

/// The file that is being received.
#[derive(Debug)]
struct File {
    head: Head,
    /// None: it is passed over.
    incoming: Option<Incoming>,
    received: u64,
}

/// The disk failed: nothing more can be received.
#[derive(Debug)]
pub(super) struct Broken;

impl Writer {
    pub(super) fn new(store: Store) -> Self {
        Self { store, file: None }
    }

    /// Does what is to be done, up to where the disk fails.
    pub(super) fn run(&mut self, batch: &mut Batch, events: &mut Vec<Event>) -> Result<(), Broken> {
        let mut rest = batch.data.as_slice();
        while let Some(step) = batch.steps.pop_front() {
            match step {
                Step::Begin(head) => self.begin(head, events)?,
                Step::Data(len) => {
                    let (data, after) = rest.split_at(len.min(rest.len()));
                    rest = after;
                    self.write(data, events)?;
                }
                Step::End => self.end(events)?,
                Step::Text(text) => events.push(Event::Text(text)),
                Step::LongText(size) => {
                    let why = Refusal::LongText { limit: TEXT_LIMIT };
                    events.push(Event::Refused { name: String::new(), size, why });
                }
            }
        }
        batch.clear();
        Ok(())
    }

    /// The connection is over: a file that is not complete is cut, and removed.
    pub(super) fn cut(&mut self, why: String, events: &mut Vec<Event>) {
        let Some(File { head, incoming, received }) = self.file.take() else { return };
        if incoming.is_some() {
            drop(incoming);
            events.push(Event::Cut { name: head.filename, received, size: head.size, why });
        }
    }

    fn begin(&mut self, head: Head, events: &mut Vec<Event>) -> Result<(), Broken> {
        let begun = self.store.begin(&head);
        let file = self.file.insert(File { head, incoming: None, received: 0 });
        match begun {
            Ok(incoming) => {
                let Head { filename, kind, size } = file.head.clone();
                events.push(Event::Begun { name: filename, kind, size });
                file.incoming = Some(incoming);
                Ok(())
            }
            Err(failed) => self.failed(failed, events),
        }
    }

    fn write(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.received += data.len() as u64;
        let Some(incoming) = &mut file.incoming else { return Ok(()) };
        match incoming.write(data) {
            Ok(()) => {
                events.push(Event::Progress { written: file.received });
                Ok(())
            }
            Err(failed) => self.failed(failed, events),
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), Broken> {
        let incoming = self.file.as_mut().and_then(|file| file.incoming.take());
        let done = match incoming.map(Incoming::finish) {
            Some(Ok(stored)) => {
                events.push(Event::Stored(stored));
                Ok(())
            }
            Some(Err(failed)) => self.failed(failed, events),
            // It was passed over.
            None => Ok(()),
        };
        self.file = None;
        done
    }

    /// The present file is not received; what comes of it is passed over.
    fn failed(&mut self, failed: Failed, events: &mut Vec<Event>) -> Result<(), Broken> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.incoming = None;
        let (name, size) = (file.head.filename.clone(), file.head.size);
        match failed {
            Failed::Refused(why) => events.push(Event::Refused { name, size, why }),
            Failed::Skipped => events.push(Event::Skipped { name, size }),
            failed @ Failed::Disk(_) => {
                let why = failed.to_string();
                events.push(Event::Cut { name, received: file.received, size, why });
                return Err(Broken);
            }
        }
        Ok(())
    }
}
