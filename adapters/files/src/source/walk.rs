//! Files at a path, and below it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{SourceError, Why, open};

/// What there is.
#[derive(Debug, Default)]
pub(super) struct All {
    pub(super) files: Vec<Found>,
    pub(super) left_out: Vec<PathBuf>,
}

/// A file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) in_folder: bool,
}

/// Finds what is at a path, by name within each folder.
pub(super) fn find(path: &Path) -> Result<All, SourceError> {
    let failed = |error| SourceError::new(path, Why::Io(error));
    let metadata = fs::metadata(path).map_err(failed)?;
    let name = match path.file_name() {
        Some(name) => name.to_owned(),
        // `.`, or what ends in `..`: as it is called where it is.
        None => {
            let whole = fs::canonicalize(path).map_err(failed)?;
            whole.file_name().ok_or_else(|| SourceError::new(path, Why::NoName))?.to_owned()
        }
    };
    let name = name.into_string().map_err(|_| SourceError::new(path, Why::NotUtf8))?;
    let mut all = All::default();
    if metadata.is_dir() {
        all.folder(path, &name)?;
    } else if metadata.is_file() {
        all.file(path.into(), name, false)?;
    } else {
        return Err(SourceError::new(path, Why::Special));
    }
    Ok(all)
}

impl All {
    /// Everything in a folder, and in those below it.
    fn folder(&mut self, path: &Path, name: &str) -> Result<(), SourceError> {
        // Folders that are still to be looked into: as deep as they come, without a stack that could overflow.
        let mut open = vec![Listing::of(path, name)?];
        while let Some(listing) = open.last_mut() {
            let Some(entry) = listing.entries.pop() else {
                open.pop();
                continue;
            };
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| SourceError::new(&path, Why::Io(error)))?;
            if !kind.is_dir() && !kind.is_file() {
                self.left_out.push(path);
                continue;
            }
            let Ok(last) = entry.file_name().into_string() else {
                return Err(SourceError::new(path, Why::NotUtf8));
            };
            let name = format!("{}/{last}", listing.name);
            if kind.is_dir() {
                open.push(Listing::of(&path, &name)?);
            } else {
                self.file(path, name, true)?;
            }
        }
        Ok(())
    }

    /// A file that can be opened.
    fn file(&mut self, path: PathBuf, name: String, in_folder: bool) -> Result<(), SourceError> {
        let metadata = open(&path, !in_folder).and_then(|file| file.metadata());
        let metadata = metadata.map_err(|error| SourceError::new(&path, Why::Io(error)))?;
        if !metadata.is_file() {
            return Err(SourceError::new(path, Why::Special));
        }
        self.files.push(Found { path, name, size: metadata.len(), in_folder });
        Ok(())
    }
}

/// What is left to be looked at of a folder, last name first.
struct Listing {
    name: String,
    entries: Vec<fs::DirEntry>,
}

impl Listing {
    fn of(path: &Path, name: &str) -> Result<Self, SourceError> {
        let read = || fs::read_dir(path)?.collect::<Result<Vec<_>, _>>();
        let mut entries = read().map_err(|error| SourceError::new(path, Why::Io(error)))?;
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
        Ok(Self { name: name.into(), entries })
    }
}
