//! Adds what came to a file that is there: all of it, or nothing.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::thread;
use std::time::{Duration, Instant};

use super::folder::Found;
use super::incoming::How;
use super::note::Note;
use super::temp::Temp;
use super::{Failed, Inner, Refusal, in_the_way};
use crate::CONFIRM;

/// How long somebody else's lock is waited for. The sender is waiting, too: it is to be told.
const PATIENCE: Duration = Duration::from_secs(30);
const _: () = assert!(PATIENCE.as_secs() < CONFIRM.as_secs());
/// Between two looks at it, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));
/// How much is added between two looks at whether everything is given up.
const PIECE: usize = 128 * 1024;

impl Inner {
    /// `spool`, which is synced, takes the name if it is free; else it is added to the file that has it.
    pub(super) fn append(&self, temp: &Temp, spool: &mut File, size: u64, last: &str) -> Result<How, Failed> {
        let began = Instant::now();
        let mut pause = PAUSES.0;
        loop {
            if let Some(how) = self.try_append(temp, spool, size, last)? {
                return Ok(how);
            }
            if began.elapsed() > PATIENCE {
                return Err(Refusal::Locked.into());
            }
            // There's no other way to wait for a lock no longer than that.
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// None if somebody else holds the file, or came in between.
    fn try_append(
        &self,
        temp: &Temp,
        spool: &mut File,
        size: u64,
        last: &str,
    ) -> Result<Option<How>, Failed> {
        let _step = self.step()?;
        let failed = |err| self.failed(err);
        match temp.folder().look(last).map_err(failed)? {
            None => match temp.folder().take(temp.name(), last) {
                Ok(()) => {
                    temp.keep();
                    temp.folder().sync().map_err(failed)?;
                    Ok(Some(How::New))
                }
                Err(err) if err.kind() == ErrorKind::AlreadyExists => Ok(None),
                Err(err) => Err(failed(err)),
            },
            Some(Found::File(_)) => match temp.folder().lock(last, true) {
                Ok(Some(mut file)) => {
                    let done = self.append_to(&mut file, temp, spool, size, last)?;
                    Ok(done.then_some(How::Appended))
                }
                Ok(None) => Ok(None),
                Err(err) if err.kind() == ErrorKind::NotFound => Ok(None),
                Err(err) => Err(failed(err)),
            },
            Some(found) => Err(in_the_way(&found)),
        }
    }

    /// Adds to a file that is locked. False if a note was in the way.
    fn append_to(
        &self,
        file: &mut File,
        temp: &Temp,
        spool: &mut File,
        size: u64,
        last: &str,
    ) -> Result<bool, Failed> {
        let failed = |err| self.failed(err);
        let len = file.metadata().map_err(failed)?.len();
        let note = Note::write(temp.folder(), last, file, len, size).map_err(failed)?;
        let Some(note) = note else { return Ok(false) };
        let added = self.copy(spool, file).and_then(|()| note.blank().map_err(failed));
        match added {
            Ok(()) => {
                note.remove();
                Ok(true)
            }
            Err(err) => {
                // What can't be cut back now is cut back by the note.
                if file.set_len(len).and_then(|()| file.sync_all()).is_ok() {
                    note.remove();
                }
                Err(err)
            }
        }
    }

    fn copy(&self, from: &mut File, to: &mut File) -> Result<(), Failed> {
        let failed = |err| self.failed(err);
        from.rewind().map_err(failed)?;
        to.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut room = vec![0; PIECE];
        loop {
            self.check()?;
            match from.read(&mut room) {
                Ok(0) => break,
                Ok(len) => to.write_all(room.get(..len).unwrap_or_default()).map_err(failed)?,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(failed(err)),
            }
        }
        to.sync_all().map_err(failed)
    }
}
