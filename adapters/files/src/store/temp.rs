//! Temporary files: what is there of files that are being received.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::folder::Folder;
use super::own;

/// How often another name is tried. Names are random: it is never twice.
const TRIES: usize = 16;

/// A place for a temporary file: its folder, those that were made on the way there, and its name once it is there.
/// Dropping it removes what was made.
#[derive(Debug)]
pub(super) struct Temp {
    folder: Arc<Folder>,
    /// The folder that the first one was made in, and the way on from there. Peers choose how long it is: only this
    /// folder is kept open.
    above: Option<Arc<Folder>>,
    way: Vec<Entered>,
    name: Option<String>,
    /// Nothing is left to be removed. Held while it is being removed: who comes second finds it done.
    over: Mutex<bool>,
}

/// A folder on the way.
#[derive(Debug)]
struct Entered {
    name: String,
    /// Whether it was made for this.
    made: bool,
}

impl Temp {
    /// In this folder, as yet.
    pub(super) fn new(folder: Arc<Folder>) -> Self {
        Self { folder, above: None, way: Vec::new(), name: None, over: Mutex::new(false) }
    }

    /// Goes into a folder of this folder; makes it if it is not there.
    pub(super) fn enter(&mut self, name: &str) -> io::Result<()> {
        let next = match self.folder.sub(name) {
            Err(err) if err.kind() == ErrorKind::NotFound => {
                match self.folder.make_sub(name) {
                    Ok(()) => self.note(name, true),
                    Err(err) if err.kind() == ErrorKind::AlreadyExists => self.note(name, false),
                    Err(err) => return Err(err),
                }
                let next = self.folder.sub(name)?;
                self.folder.sync()?;
                next
            }
            other => {
                let next = other?;
                self.note(name, false);
                next
            }
        };
        self.folder = Arc::new(next);
        Ok(())
    }

    /// The way goes on through this one.
    fn note(&mut self, name: &str, made: bool) {
        if made && self.above.is_none() {
            self.above = Some(self.folder.clone());
        }
        if self.above.is_some() {
            self.way.push(Entered { name: name.to_owned(), made });
        }
    }

    /// Makes the file that is to be called `last`, locked: nobody removes it while this program runs.
    pub(super) fn create(&mut self, last: &str, like: Option<&Permissions>) -> io::Result<File> {
        for _ in 0..TRIES {
            let number = getrandom::u64().map_err(|err| io::Error::other(err.to_string()))?;
            let name = own::name(last, number, own::PART);
            match self.folder.create(&name, like) {
                Ok(file) => {
                    self.name = Some(name);
                    return Ok(file);
                }
                Err(err) if err.kind() == ErrorKind::AlreadyExists => {}
                Err(err) => return Err(err),
            }
        }
        Err(io::Error::other("no name for a temporary file is free"))
    }

    pub(super) fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// It has taken its name: nothing is to be removed.
    pub(super) fn keep(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Removes the file, and the folders if nothing is in them; or waits until somebody else has.
    pub(super) fn remove(&self) {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if *over {
            return;
        }
        *over = true;
        // What can't be removed is a leftover.
        if let Some(name) = &self.name {
            let _ = self.folder.remove(name);
        }
        self.remove_folders();
    }

    /// Removes the folders that were made, from the innermost on, as long as nothing is in them.
    fn remove_folders(&self) {
        let Some(above) = &self.above else { return };
        let mut folders = vec![above.clone()];
        for entered in &self.way {
            let next = folders.last().map(|folder| folder.sub(&entered.name));
            // Somebody has removed the rest of the way.
            let Some(Ok(next)) = next else { break };
            folders.push(Arc::new(next));
        }
        // Each with the one that is next on the way, which is in it.
        for (folder, entered) in folders.iter().zip(&self.way).rev() {
            if !entered.made || folder.remove_sub(&entered.name).is_err() {
                break;
            }
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The temporary files that are there.
#[derive(Debug, Default)]
pub(super) struct Temps(Mutex<Vec<Arc<Temp>>>);

impl Temps {
    /// One more, until what is given back is dropped.
    pub(super) fn add(self: &Arc<Self>, temp: Temp) -> Held {
        let temp = Arc::new(temp);
        self.lock().push(Arc::clone(&temp));
        Held { temps: Arc::clone(self), temp }
    }

    /// Removes all of them; those that others are removing just now are gone, too, when this is done.
    pub(super) fn remove(&self) {
        for temp in self.lock().drain(..) {
            temp.remove();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Temp>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A temporary file that everybody knows of. Dropping it removes what was made.
#[derive(Debug)]
pub(super) struct Held {
    temps: Arc<Temps>,
    temp: Arc<Temp>,
}

impl Deref for Held {
    type Target = Temp;

    fn deref(&self) -> &Temp {
        &self.temp
    }
}

impl Drop for Held {
    /// Only what is removed is forgotten: who removes all waits for this one.
    fn drop(&mut self) {
        self.temp.remove();
        self.temps.lock().retain(|temp| !Arc::ptr_eq(temp, &self.temp));
    }
}
