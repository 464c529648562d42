//! Notes of how long a file was to which is being appended: whoever finds one that nobody holds cuts the file back.
//!
//! A note is called `.NAME.NUMBER.undo`; the number is that of the file it speaks of (its inode), which has no more than
//! one. So who holds a file finds the note of whoever was killed while holding it, before he adds anything behind what
//! is to be cut off. And a file that somebody has put in its place since stays as it is: numbers are given anew, often
//! to the next file that is made, so when the file was made stands in it, too.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::folder::{Folder, Found};
use super::own;
use crate::name::Name;

/// How a note begins and ends. One without its end was not written to its end: nothing was appended then.
const BEGIN: &str = "heartwire-undo 1";
const END: &str = "end";
/// Stands there if the file system does not say when a file was made.
const UNKNOWN: &str = "-";
/// More than any note has, in bytes.
const MAX_NOTE: u64 = 1024;

/// A note that is there, and held.
pub(super) struct Note {
    folder: Arc<Folder>,
    name: String,
    file: File,
}

impl Note {
    /// Before `added` bytes come behind the first `len` of `file`, which is called `last` and locked. None if there was
    /// a note already: what it says has been done, and its file may have another length now.
    pub(super) fn write(
        folder: &Arc<Folder>,
        last: &str,
        file: &File,
        len: u64,
        added: u64,
    ) -> io::Result<Option<Self>> {
        let name = own::name(last, Folder::number(file)?, own::UNDO);
        let note = match folder.create(&name, None) {
            Ok(note) => Self { folder: folder.clone(), name, file: note },
            Err(err) if err.kind() == ErrorKind::AlreadyExists => {
                follow(folder, &name, Some((last, file)))?;
                return Ok(None);
            }
            Err(err) => return Err(err),
        };
        let made = made(file).map_or_else(|| UNKNOWN.to_owned(), |made| made.to_string());
        let text = format!("{BEGIN}\n{len}\n{added}\n{made}\n{last}\n{END}\n");
        let written = (&note.file).write_all(text.as_bytes());
        if let Err(err) = written.and_then(|()| note.file.sync_all()).and_then(|()| folder.sync()) {
            note.remove();
            return Err(err);
        }
        Ok(Some(note))
    }

    /// It says nothing any more, and that is on the disk.
    pub(super) fn blank(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.sync_all()
    }

    pub(super) fn remove(self) {
        // One that stays is blank, or says what is so.
        let _ = self.folder.remove(&self.name);
    }
}

/// Does what a note says that nobody holds, and removes it. `held` is a file that the caller has locked.
pub(super) fn follow(folder: &Folder, name: &str, held: Option<(&str, &File)>) -> io::Result<()> {
    let mut note = match folder.lock(name, false) {
        Ok(Some(note)) => note,
        Ok(None) => return Ok(()),
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(err),
    };
    if let Some(said) = Said::read(&mut note)? {
        let locked;
        let file = match held {
            Some((last, file)) if last == said.last => Some(file),
            _ if matches!(folder.look(&said.last)?, Some(Found::File(_))) => {
                locked = folder.lock(&said.last, true)?;
                // Who holds it now may be killed, too; or adds to it next, and follows the note before that.
                if locked.is_none() {
                    return Ok(());
                }
                locked.as_ref()
            }
            _ => None,
        };
        if let Some(file) = file {
            let is_same = own::number(name, own::UNDO) == Some(Folder::number(file)?)
                && said.made.zip(made(file)).is_none_or(|(then, now)| then == now);
            let len = file.metadata()?.len();
            if is_same && len > said.len && len <= said.len.saturating_add(said.added) {
                file.set_len(said.len)?;
                file.sync_all()?;
            }
        }
    }
    folder.remove(name)?;
    folder.sync()
}

/// When a file was made, in whole seconds: not all file systems keep what is below, or not for ever.
fn made(file: &File) -> Option<u64> {
    let made = file.metadata().ok()?.created().ok()?;
    made.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// What stands in a note.
struct Said {
    last: String,
    len: u64,
    added: u64,
    made: Option<u64>,
}

impl Said {
    /// None if it is not whole.
    fn read(note: &mut File) -> io::Result<Option<Self>> {
        let mut text = Vec::new();
        note.take(MAX_NOTE).read_to_end(&mut text)?;
        Ok(std::str::from_utf8(&text).ok().and_then(Self::parse))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let mut next = || lines.next();
        if next()? != BEGIN {
            return None;
        }
        let (len, added) = (next()?.parse().ok()?, next()?.parse().ok()?);
        let made = match next()? {
            UNKNOWN => None,
            made => Some(made.parse().ok()?),
        };
        // Somebody else may have written it: it speaks of nothing outside of its folder.
        let last = Name::parse(next()?).ok().filter(|name| name.split().0.is_empty())?;
        (next()? == END && next().is_none()).then(|| Self { last: last.to_string(), len, added, made })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_whole_or_nothing() {
        let whole = "heartwire-undo 1\n12\n34\n56\na b.csv\nend\n";
        let said = Said::parse(whole).unwrap();
        assert_eq!((&*said.last, said.len, said.added, said.made), ("a b.csv", 12, 34, Some(56)));
        assert_eq!(Said::parse(&whole.replace("56", "-")).unwrap().made, None);
        for len in 0..whole.len() {
            assert!(Said::parse(&whole[..len]).is_none(), "{len}");
        }
        for bad in ["../x", "a/b", "/x", "..", "", ".x.0123456789abcdef.part"] {
            assert!(Said::parse(&whole.replace("a b.csv", bad)).is_none(), "{bad}");
        }
        assert!(Said::parse(&whole.replace("12", "-1")).is_none());
        assert!(Said::parse(&whole.replace("56", "-1")).is_none());
        assert!(Said::parse(&format!("{whole}x\n")).is_none());
    }
}
