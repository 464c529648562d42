//! Where received files go.

mod append;
mod error;
mod folder;
mod incoming;
mod leftovers;
mod note;
pub(crate) mod own;
mod temp;

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use heartwire_core::wire::json_header::{Head, Kind};

pub use self::error::{Failed, OpenError, Refusal};
use self::folder::{Folder, Found};
pub use self::incoming::{How, Incoming, Stored};
use self::temp::{Temp, Temps};
use crate::name::Name;

/// How often something is tried anew that others have come in between.
const TRIES: usize = 100;

/// What becomes of a file whose name is taken. Comma-separated values are appended whatever is said here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExist {
    /// It takes the name: at once, when it is complete. It has the permission bits of the one before. Of two that are
    /// received by one name, the last that is complete stays.
    #[default]
    Replace,
    /// What is there stays, and the new one is passed over.
    Skip,
    /// It takes another name: `name (1).txt`.
    Rename,
    /// What is there stays, and the new one is refused.
    Fail,
}

/// A folder that files are received in. All of this blocks. Clones are the same store.
///
/// A file has its name only when it is complete and on the disk. Until then it is called `.NAME.RANDOM.part`, in the
/// folder it is to be in; what a killed receiver leaves of those is removed by the next one. Nothing below the folder is
/// reached through a symbolic link, and no link is replaced. Several receivers may use one folder at once.
///
/// ```
/// use heartwire_core::wire::json_header::{Head, Kind};
/// use heartwire_files::{How, OnExist, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("received");
/// let store = Store::open(&path, OnExist::Replace)?;
/// let mut file = store.begin(&Head { kind: Kind::Text, size: 5, filename: "run 1/a.txt".into() })?;
/// file.write(b"hello")?;
/// assert_eq!(file.finish()?.how, How::New);
/// assert_eq!(std::fs::read(path.join("run 1/a.txt"))?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    on_exist: OnExist,
    folder: Arc<Folder>,
    leftovers: usize,
    abandoned: AtomicBool,
    /// Held by whoever makes files or gives them names; taken whole by who gives everything up.
    steps: RwLock<()>,
    /// Folders are made by one at a time, who holds this until they are synced: nobody else puts files into a folder
    /// that is lost if the power fails.
    making: Mutex<()>,
    temps: Arc<Temps>,
}

impl Store {
    /// The folder at this path; made if it is not there. Sees that it can be written in, and removes what receivers
    /// that were killed have left there, for which it goes through all folders below.
    ///
    /// # Errors
    ///
    /// There can't be such a folder, or it can't be written in; the error says what to do.
    pub fn open(path: impl AsRef<Path>, on_exist: OnExist) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let (folder, leftovers) = prepare(path).map_err(|err| OpenError::new(path, err))?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            on_exist,
            folder,
            leftovers,
            abandoned: AtomicBool::new(false),
            steps: RwLock::default(),
            making: Mutex::default(),
            temps: Arc::default(),
        })))
    }

    /// The folder, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// How many transfers that were cut by the end of their receiver had left something there, which was removed.
    #[must_use]
    pub fn leftovers(&self) -> usize {
        self.0.leftovers
    }

    /// Begins to receive a file. What can be known now is told now, before any of it has come.
    ///
    /// # Errors
    ///
    /// [`Failed::Refused`] and [`Failed::Skipped`] concern this file, [`Failed::Disk`] all of them.
    pub fn begin(&self, head: &Head) -> Result<Incoming, Failed> {
        let name = Name::parse(&head.filename).map_err(Refusal::Name)?;
        let _step = self.0.step()?;
        let (temp, file) = self.0.create(&name, head.kind)?;
        let temp = self.0.temps.add(temp);
        Ok(Incoming::new(self.0.clone(), name, head, temp, file))
    }

    /// Removes what is there of files that are not complete, whoever is receiving them: for who ends without waiting.
    /// What is received after that is refused.
    ///
    /// Waits for files that take their name just now. One that is being appended to another is cut back.
    pub fn abandon(&self) {
        self.0.abandoned.store(true, Ordering::Release);
        let _all = self.0.steps.write().unwrap_or_else(PoisonError::into_inner);
        self.0.temps.remove();
    }
}

impl Inner {
    /// Nobody gives everything up as long as this is held.
    fn step(&self) -> Result<RwLockReadGuard<'_, ()>, Failed> {
        let step = self.steps.read().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        Ok(step)
    }

    fn check(&self) -> Result<(), Failed> {
        if self.abandoned.load(Ordering::Acquire) { Err(Failed::abandoned()) } else { Ok(()) }
    }

    /// A temporary file for what is to have this name.
    fn create(&self, name: &Name, kind: Kind) -> Result<(Temp, File), Failed> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match self.try_create(name, kind) {
                // Somebody else has made a folder, and removes it because it stayed empty.
                Err(Failed::Refused(Refusal::Removed)) if tries > 0 => {}
                other => return other,
            }
        }
    }

    fn try_create(&self, name: &Name, kind: Kind) -> Result<(Temp, File), Failed> {
        let mut temp = Temp::new(self.folder.clone());
        self.enter(&mut temp, name)?;
        let (_, last) = name.split();
        let like = match temp.folder().look(last).map_err(|err| self.failed(err))? {
            None => None,
            Some(Found::File(_)) if kind != Kind::Csv && self.on_exist == OnExist::Skip => {
                return Err(Failed::Skipped);
            }
            Some(Found::File(_)) if kind != Kind::Csv && self.on_exist == OnExist::Fail => {
                return Err(Refusal::Exists.into());
            }
            Some(Found::File(permissions)) => permissions,
            Some(found) => return Err(in_the_way(&found)),
        };
        match temp.create(last, like.as_ref()) {
            Ok(file) => Ok((temp, file)),
            Err(err) => Err(self.failed_in(temp.folder(), err)),
        }
    }

    /// Goes to the folder that a name leads to, and makes what is missing.
    fn enter(&self, temp: &mut Temp, name: &Name) -> Result<(), Failed> {
        let (folders, _) = name.split();
        if folders.is_empty() {
            return Ok(());
        }
        let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let mut end = 0;
        for part in folders {
            end += part.len();
            if let Err(err) = temp.enter(part) {
                let above = || Name::parse(&name.as_str()[..end]).map_err(Refusal::Name);
                return Err(match temp.folder().look(part) {
                    Ok(Some(Found::Link)) => Refusal::LinkAbove(above()?).into(),
                    Ok(Some(Found::File(_) | Found::Special)) => Refusal::NoFolder(above()?).into(),
                    // There is one, and it can't be gone into.
                    Ok(Some(Found::Folder)) => self.failed(err),
                    _ => self.failed_in(temp.folder(), err),
                });
            }
            end += "/".len();
        }
        Ok(())
    }

    /// What an error means that came of making something in a folder.
    fn failed_in(&self, folder: &Arc<Folder>, err: io::Error) -> Failed {
        // Who can't write in the store's own folder receives nothing at all.
        if err.kind() == ErrorKind::PermissionDenied && Arc::ptr_eq(folder, &self.folder) {
            return Failed::disk(err, &self.path);
        }
        self.failed(err)
    }

    fn failed(&self, err: io::Error) -> Failed {
        if err.kind() == ErrorKind::NotFound && self.folder.is_gone() {
            return Failed::disk(err, &self.path);
        }
        Failed::new(err, &self.path)
    }
}

/// Something that is no file has the name.
fn in_the_way(found: &Found) -> Failed {
    Failed::Refused(match found {
        Found::File(_) => Refusal::Exists,
        Found::Folder => Refusal::Folder,
        Found::Link => Refusal::Link,
        Found::Special => Refusal::Special,
    })
}

/// Makes the folder, tries it, and cleans it.
fn prepare(path: &Path) -> io::Result<(Arc<Folder>, usize)> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<_> = path.ancestors().take_while(is_missing).collect();
    std::fs::create_dir_all(path)?;
    for made in missing {
        let above = made.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Who may make a folder somewhere need not be allowed to read there, which syncing takes.
        if let Ok(above) = Folder::at(above) {
            above.sync()?;
        }
    }
    let folder = Arc::new(Folder::at(path)?);
    let mut temp = Temp::new(folder.clone());
    let held = temp.create("heartwire", None)?;
    // In this order: what nobody holds, another that starts just now takes for a leftover.
    drop(temp);
    drop(held);
    let leftovers = leftovers::remove(&folder, 0);
    Ok((folder, leftovers))
}
