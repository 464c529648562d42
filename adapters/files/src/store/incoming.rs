//! A file on its way from its first byte to its name.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use heartwire_core::wire::json_header::{Head, Kind};

use super::folder::Found;
use super::temp::Held;
use super::{Failed, Inner, OnExist, Refusal, TRIES, in_the_way};
use crate::name::Name;

/// How many other names are tried for a file whose own is taken.
const NUMBERS: u32 = 10_000;

/// How much is written before it is synced, in bytes: so the last sync, which the sender waits for, is not that of
/// everything, however slow the disk.
const SYNCED: u64 = 128 * 1024 * 1024;

/// A file that is being received. Dropping it removes what is there of it.
#[derive(Debug)]
pub struct Incoming {
    inner: Arc<Inner>,
    name: Name,
    kind: Kind,
    size: u64,
    written: u64,
    /// How much of it has been synced.
    synced: u64,
    // The file is closed last: as long as it is open, it is locked.
    temp: Held,
    file: File,
}

impl Incoming {
    pub(super) fn new(inner: Arc<Inner>, name: Name, head: &Head, temp: Held, file: File) -> Self {
        Self { inner, name, kind: head.kind, size: head.size, written: 0, synced: 0, temp, file }
    }

    /// The name it was sent with.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Adds to it.
    ///
    /// # Errors
    ///
    /// After an error there is nothing to be done but to drop it: it can't be finished any more.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        self.inner.check()?;
        let written = self.written.saturating_add(bytes.len() as u64);
        if written > self.size {
            return Err(Refusal::Size { announced: self.size, received: written }.into());
        }
        self.file.write_all(bytes).map_err(|err| self.inner.failed(err))?;
        self.written = written;
        if written.saturating_sub(self.synced) >= SYNCED {
            self.file.sync_data().map_err(|err| self.inner.failed(err))?;
            self.synced = written;
        }
        Ok(())
    }

    /// It is complete: it is synced, takes its name, and the folder is synced. Comma-separated values take a name that
    /// is free; else they are added to the file of that name, which is synced, and cut back if it can't be done whole.
    ///
    /// # Errors
    ///
    /// Nothing of it is there then. Only if the last sync of the folder fails, it may be.
    pub fn finish(mut self) -> Result<Stored, Failed> {
        self.inner.check()?;
        // The length, too: a write that failed may have left some of its bytes.
        let there = self.file.metadata().map_err(|err| self.inner.failed(err))?.len();
        if self.written != self.size || there != self.size {
            return Err(Refusal::Size { announced: self.size, received: self.written.max(there) }.into());
        }
        self.file.sync_all().map_err(|err| self.inner.failed(err))?;
        let size = self.size;
        if self.kind == Kind::Csv {
            let (_, last) = self.name.split();
            let how = self.inner.append(&self.temp, &mut self.file, size, last)?;
            return Ok(Stored { name: self.name, size, how });
        }
        let _step = self.inner.step()?;
        let (name, how) = self.take_name()?;
        self.temp.keep();
        self.temp.folder().sync().map_err(|err| self.inner.failed(err))?;
        Ok(Stored { name, size, how })
    }

    fn take_name(&self) -> Result<(Name, How), Failed> {
        match self.inner.on_exist {
            OnExist::Replace => Ok((self.name.clone(), self.replace()?)),
            OnExist::Skip if self.take(&self.name)? => Ok((self.name.clone(), How::New)),
            OnExist::Skip => Err(Failed::Skipped),
            OnExist::Fail if self.take(&self.name)? => Ok((self.name.clone(), How::New)),
            OnExist::Fail => Err(Refusal::Exists.into()),
            OnExist::Rename if self.take(&self.name)? => Ok((self.name.clone(), How::New)),
            OnExist::Rename => {
                for name in (1..NUMBERS).map_while(|number| self.name.beside(number)) {
                    if self.take(&name)? {
                        return Ok((name, How::Renamed));
                    }
                }
                Err(Refusal::Exists.into())
            }
        }
    }

    /// Takes a name if it is free.
    fn take(&self, name: &Name) -> Result<bool, Failed> {
        self.try_take(name).map_err(|err| self.inner.failed(err))
    }

    fn try_take(&self, name: &Name) -> io::Result<bool> {
        let (_, last) = name.split();
        match self.temp.folder().take(self.temp.name(), last) {
            Ok(()) => Ok(true),
            Err(err) if err.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(err) => Err(err),
        }
    }

    fn replace(&self) -> Result<How, Failed> {
        let (_, last) = self.name.split();
        let failed = |err| self.inner.failed(err);
        let replace = || self.temp.folder().replace(self.temp.name(), last).map_err(failed);
        for _ in 0..TRIES {
            match self.temp.folder().look(last).map_err(failed)? {
                None => match self.try_take(&self.name) {
                    Ok(true) => return Ok(How::New),
                    // Somebody else was there first.
                    Ok(false) => {}
                    // Then whoever comes in between is replaced, as he would be a moment later.
                    Err(err) if err.kind() == ErrorKind::Unsupported => {
                        return replace().map(|()| How::New);
                    }
                    Err(err) => return Err(failed(err)),
                },
                Some(Found::File(permissions)) => {
                    self.set(permissions)?;
                    return replace().map(|()| How::Replaced);
                }
                Some(found) => return Err(in_the_way(&found)),
            }
        }
        Err(Refusal::Exists.into())
    }

    fn set(&self, permissions: Option<Permissions>) -> Result<(), Failed> {
        let Some(permissions) = permissions else { return Ok(()) };
        let set = || {
            // Not all file systems have permissions; all that they have are the same.
            if is_same(&self.file.metadata()?.permissions(), &permissions) {
                return Ok(());
            }
            self.file.set_permissions(permissions)?;
            self.file.sync_all()
        };
        set().map_err(|err| self.inner.failed(err))
    }
}

#[cfg(unix)]
fn is_same(a: &Permissions, b: &Permissions) -> bool {
    use std::os::unix::fs::PermissionsExt;

    (a.mode() ^ b.mode()) & 0o777 == 0
}

#[cfg(not(unix))]
fn is_same(a: &Permissions, b: &Permissions) -> bool {
    a == b
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name, which with [`OnExist::Rename`] need not be the one it was sent with.
    pub name: Name,
    /// Its bytes that were received.
    pub size: u64,
    /// How it took its name.
    pub how: How,
}

/// How a file took its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// There was none before.
    New,
    /// In place of another.
    Replaced,
    /// Behind what was there.
    Appended,
    /// Under another name.
    Renamed,
}
