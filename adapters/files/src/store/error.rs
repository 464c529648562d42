//! What stands against receiving, in words for whoever has to do something about it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use heartwire_core::escape::escape;

use super::folder::{is_handle_limit, is_name_too_long, is_name_unusable};
use crate::name::{BadName, Name};

/// Why a folder can't be received in.
#[derive(Debug)]
pub struct OpenError {
    path: PathBuf,
    err: io::Error,
}

impl OpenError {
    pub(super) fn new(path: &Path, err: io::Error) -> Self {
        Self { path: path.to_owned(), err }
    }

    /// The folder, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the system said.
    #[must_use]
    pub fn io_error(&self) -> &io::Error {
        &self.err
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, err } = self;
        write!(f, "can't receive in {}: {err}; ", path.display())?;
        match err.kind() {
            ErrorKind::PermissionDenied => {
                f.write_str("give this user the right to read it and to write there")
            }
            ErrorKind::ReadOnlyFilesystem => f.write_str("make what it is on writable"),
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                f.write_str("it, or what is above it, is not a folder: remove that")
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => f.write_str("make room there"),
            ErrorKind::Unsupported => f.write_str("its file system lacks what is needed (locks)"),
            _ => f.write_str("see that it can be used"),
        }?;
        f.write_str(", or choose another folder")
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.err)
    }
}

/// Why a file was not received.
#[derive(Debug)]
pub enum Failed {
    /// This one can't be received there; others can.
    Refused(Refusal),
    /// What is there is kept.
    Skipped,
    /// The disk takes no more, or can't be used. The error says what to do, too.
    Disk(io::Error),
}

impl Failed {
    /// What an error that the system gave concerns: one file, or all that come into `folder`.
    pub(super) fn new(err: io::Error, folder: &Path) -> Self {
        let refused = match err.kind() {
            ErrorKind::PermissionDenied => Refusal::Denied(err),
            // A folder that something else has replaced just now, too.
            ErrorKind::NotFound | ErrorKind::NotADirectory => Refusal::Removed,
            ErrorKind::AlreadyExists => Refusal::Exists,
            ErrorKind::IsADirectory => Refusal::Folder,
            ErrorKind::FileTooLarge => Refusal::TooLarge(err),
            ErrorKind::ExecutableFileBusy | ErrorKind::ResourceBusy => Refusal::Busy(err),
            _ if is_name_too_long(&err) || is_name_unusable(&err) => Refusal::Unusable(err),
            _ => return Self::disk(err, folder),
        };
        Self::Refused(refused)
    }

    /// What concerns all.
    pub(super) fn disk(err: io::Error, folder: &Path) -> Self {
        let folder = folder.display();
        let advice = match err.kind() {
            ErrorKind::StorageFull => format!("make room in {folder}"),
            ErrorKind::QuotaExceeded => format!("make room in {folder}, or raise this user's quota"),
            ErrorKind::ReadOnlyFilesystem => format!("make what {folder} is on writable"),
            ErrorKind::PermissionDenied => format!("give this user the right to write in {folder}"),
            ErrorKind::NotFound => format!("{folder} is gone; make it again, and receive in it anew"),
            ErrorKind::Unsupported => format!(
                "the file system of {folder} can't see to it that a name is free (it has no hard links): receive elsewhere, or with `replace`"
            ),
            _ if is_handle_limit(&err) => {
                "receive fewer files at once, or raise the limit (ulimit -n)".to_owned()
            }
            _ => format!("see whether the disk of {folder} is in order"),
        };
        Self::Disk(io::Error::new(err.kind(), Told { err, advice }))
    }

    /// Everything has been given up.
    pub(super) fn abandoned() -> Self {
        Self::Disk(io::Error::other("the receiver is ending; send it again when it runs"))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Skipped => f.write_str("something of that name is there, and stays"),
            Self::Disk(err) => err.fmt(f),
        }
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Skipped => None,
            Self::Disk(err) => Some(err),
        }
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What the system said, and what to do about it.
#[derive(Debug)]
struct Told {
    err: io::Error,
    advice: String,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.err, self.advice)
    }
}

impl std::error::Error for Told {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.err)
    }
}

/// What stands against a file. What is shown finishes the sentence "refused NAME: …".
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// Its name.
    Name(BadName),
    /// A file of that name.
    Exists,
    /// A folder of that name.
    Folder,
    /// A symbolic link of that name. None is followed, and none replaced.
    Link,
    /// Something of that name that is neither a file nor a folder nor a link.
    Special,
    /// A symbolic link where its name has a folder, which is this.
    LinkAbove(Name),
    /// Something else where its name has a folder, which is this.
    NoFolder(Name),
    /// The rights of whoever receives.
    Denied(io::Error),
    /// The file system has no such names.
    Unusable(io::Error),
    /// The file system, or this program's limit, has no files so large.
    TooLarge(io::Error),
    /// The file of that name can't be written in as long as something uses it.
    Busy(io::Error),
    /// Somebody has locked the file of that name, for longer than half a minute.
    Locked,
    /// A text is longer than this, in bytes.
    LongText {
        /// The limit.
        limit: usize,
    },
    /// Somebody removed what was there of it while it came.
    Removed,
    /// More or fewer bytes came than were announced, which whoever receives should have seen.
    Size {
        /// The bytes that were announced.
        announced: u64,
        /// The bytes that came.
        received: u64,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(bad) => bad.fmt(f),
            Self::Exists => {
                f.write_str("a file of that name is there, and stays; remove it, or send by another name")
            }
            Self::Folder => f.write_str("a folder of that name is there"),
            Self::Link => {
                f.write_str("a symbolic link of that name is there, which is neither followed nor replaced")
            }
            Self::Special => f.write_str("what has that name is no regular file"),
            Self::LinkAbove(name) => {
                write!(f, "its folder {} is a symbolic link, which is not followed", escape(name.as_str()))
            }
            Self::NoFolder(name) => write!(f, "{} is there, and is not a folder", escape(name.as_str())),
            Self::Denied(err) => write!(f, "{err}; give the user who receives the right to write there"),
            Self::Unusable(err) => write!(f, "{err}; send it by another name"),
            Self::TooLarge(err) => write!(f, "{err}; the receiver's disk or limits take no files so large"),
            Self::Busy(err) => write!(f, "{err}; send it again when nothing uses the file of that name"),
            Self::Locked => {
                f.write_str("another program has locked the file of that name; send it again later")
            }
            Self::LongText { limit } => {
                write!(f, "texts of more than {limit} bytes are not taken; send it as a file")
            }
            Self::Removed => f.write_str("somebody removed what was there of it; send it again"),
            Self::Size { announced, received } => {
                write!(f, "{received} bytes of it came, and {announced} were announced")
            }
        }
    }
}

impl std::error::Error for Refusal {}
