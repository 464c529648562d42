//! What is to be sent: found, opened and measured before anybody is connected to.

mod reader;
mod walk;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use heartwire_core::wire::json_header::Kind;

use crate::kind_of;
pub use reader::Reader;
pub(crate) use reader::{Changed, Measured, read_at};

/// Files and texts to be sent, in this order.
///
/// ```
/// use heartwire_files::Sources;
///
/// let folder = tempfile::tempdir()?;
/// std::fs::create_dir(folder.path().join("run"))?;
/// std::fs::write(folder.path().join("run/a.csv"), "1,2\n")?;
/// let mut sources = Sources::new();
/// sources.add(folder.path().join("run"), None)?; // everything in it, as `run/…`
/// sources.add_text("that was all");
/// assert_eq!((sources.files(), sources.bytes()), (1, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Sources {
    pub(crate) items: Vec<Item>,
    /// Names that are given already. Only values may have one that is: they are appended.
    names: BTreeSet<String>,
    skipped: Vec<PathBuf>,
    bytes: u64,
}

/// What is sent at once.
#[derive(Debug)]
pub(crate) enum Item {
    File(FileSource),
    Text(Bytes),
}

/// A file to be sent. It is not kept open: there may be very many.
#[derive(Debug)]
pub(crate) struct FileSource {
    pub(crate) path: PathBuf,
    /// What receivers are told that it is called.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Found in a folder: it must not have become a link.
    pub(crate) found: bool,
}

impl Sources {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, or a folder with everything below it; of this kind, or else of that which each
    /// [name tells](kind_of). A file is called by the last part of its path, one in a folder by the folder's and its
    /// path below that, with `/`. A path that is a link is followed; links in folders are not, and are
    /// [left out](Self::left_out), as is what is no file. It blocks: every file is opened and closed again.
    ///
    /// # Errors
    ///
    /// What can't be sent, and why; nothing was added then.
    pub fn add(&mut self, path: impl AsRef<Path>, kind: Option<Kind>) -> Result<(), SourceError> {
        let path = path.as_ref();
        let found = walk::find(path)?;
        let mut names = BTreeSet::new();
        let (mut items, mut bytes) = (Vec::new(), 0_u64);
        for walk::Found { path, name, size, in_folder } in found.files {
            let kind = kind.unwrap_or_else(|| kind_of(&name));
            let taken = self.names.contains(&name) || !names.insert(name.clone());
            if taken && kind != Kind::Csv {
                return Err(SourceError { path, why: Why::Twice(name) });
            }
            bytes = bytes.saturating_add(size);
            items.push(Item::File(FileSource { path, name, kind, found: in_folder }));
        }
        self.names.append(&mut names);
        self.items.append(&mut items);
        self.skipped.extend(found.left_out);
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    /// Adds a text that is no file.
    pub fn add_text(&mut self, text: impl Into<Bytes>) {
        self.items.push(Item::Text(text.into()));
    }

    /// How many files there are.
    #[must_use]
    pub fn files(&self) -> usize {
        self.items.iter().filter(|item| matches!(item, Item::File(_))).count()
    }

    /// Bytes in the files, as they were when they were added.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What was found in folders and is not sent: links, and what is no file.
    #[must_use]
    pub fn left_out(&self) -> &[PathBuf] {
        &self.skipped
    }
}

/// Something can't be sent. Displayed, it is not escaped: paths may have any characters.
#[derive(Debug)]
pub struct SourceError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
pub(crate) enum Why {
    /// It can't be opened or read.
    Io(io::Error),
    /// It is neither a file nor a folder.
    Special,
    /// Its name is not UTF-8.
    NotUtf8,
    /// Its name does not fit into a header.
    LongName,
    /// It is the root of a file system.
    NoName,
    /// It was changed while it was sent.
    Changed(Changed),
    /// Another is called the same.
    Twice(String),
}

impl SourceError {
    pub(crate) fn new(path: impl Into<PathBuf>, why: Why) -> Self {
        Self { path: path.into(), why }
    }

    /// What can't be sent.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.why {
            Why::Io(error) => write!(f, "can't read it: {error}; check what is to be sent"),
            Why::Special => f.write_str("it is no file and no folder; send a file with what is in it"),
            Why::NotUtf8 => f.write_str("its name is not UTF-8, and can't be sent as it is; rename it"),
            Why::LongName => f.write_str("its name is too long to be sent; shorten it"),
            Why::NoName => f.write_str("it has no name to be sent with; name the folders in it"),
            Why::Changed(changed) => {
                write!(f, "{changed} while it was sent; send it when nobody writes to it")
            }
            Why::Twice(name) => {
                write!(f, "another file would be called {name}, too; rename one, or send it by itself")
            }
        }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Why::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// Opens a file, and waits for nothing, whatever it has become.
#[cfg(unix)]
pub(crate) fn open(path: &Path, follow: bool) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};

    let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !follow);
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Opens a file.
#[cfg(not(unix))]
pub(crate) fn open(path: &Path, _: bool) -> io::Result<File> {
    File::open(path)
}
