//! Folders as paths, where there are no descriptors of folders to be had without `unsafe`: what is no link is looked at
//! before it is opened, so whoever can exchange folders of the store at the right moment can lead it elsewhere.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Found;

#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        // Absolute: it stays where it is if the program goes into another folder.
        let path = fs::canonicalize(path)?;
        if fs::metadata(&path)?.is_dir() { Ok(Self(path)) } else { Err(ErrorKind::NotADirectory.into()) }
    }

    pub(crate) fn sub(&self, name: &str) -> io::Result<Self> {
        let path = self.0.join(name);
        if fs::symlink_metadata(&path)?.is_dir() {
            Ok(Self(path))
        } else {
            Err(ErrorKind::NotADirectory.into())
        }
    }

    pub(crate) fn make_sub(&self, name: &str) -> io::Result<()> {
        fs::create_dir(self.0.join(name))
    }

    pub(crate) fn remove_sub(&self, name: &str) -> io::Result<()> {
        fs::remove_dir(self.0.join(name))
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    pub(crate) fn look(&self, name: &str) -> io::Result<Option<Found>> {
        let kind = match fs::symlink_metadata(self.0.join(name)) {
            Ok(metadata) => metadata.file_type(),
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(err),
        };
        Ok(Some(match kind {
            _ if kind.is_symlink() => Found::Link,
            _ if kind.is_file() => Found::File(None),
            _ if kind.is_dir() => Found::Folder,
            _ => Found::Special,
        }))
    }

    pub(crate) fn create(&self, name: &str, _: Option<&Permissions>) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.0.join(name))
    }

    pub(crate) fn lock(&self, name: &str, _: bool) -> io::Result<Option<File>> {
        if !matches!(self.look(name)?, Some(Found::File(_))) {
            return Err(ErrorKind::NotFound.into());
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        // Windows lets nobody share what somebody has open otherwise; a temporary file is open while it is in use.
        #[cfg(windows)]
        std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
        match options.open(self.0.join(name)) {
            Ok(file) => Ok(Some(file)),
            Err(err) if cfg!(windows) && err.raw_os_error() == Some(32) => Ok(None),
            Err(err) => Err(err),
        }
    }

    pub(crate) fn number(_: &File) -> io::Result<u64> {
        Ok(0)
    }

    pub(crate) fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    pub(crate) fn take(&self, from: &str, to: &str) -> io::Result<()> {
        fs::hard_link(self.0.join(from), self.0.join(to))?;
        // The file has its name. Its other one is a leftover, if it should stay.
        let _ = self.remove(from);
        Ok(())
    }

    #[allow(clippy::unused_self)]
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn list(&self) -> io::Result<Vec<(String, bool)>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            names.push((name, entry.file_type()?.is_dir()));
        }
        Ok(names)
    }

    pub(crate) fn is_gone(&self) -> bool {
        !self.0.is_dir()
    }
}

pub(crate) fn is_name_too_long(err: &io::Error) -> bool {
    cfg!(windows) && err.raw_os_error() == Some(206)
}

pub(crate) fn is_name_unusable(err: &io::Error) -> bool {
    err.kind() == ErrorKind::InvalidInput || cfg!(windows) && err.raw_os_error() == Some(123)
}

pub(crate) fn is_handle_limit(err: &io::Error) -> bool {
    cfg!(windows) && err.raw_os_error() == Some(4)
}
