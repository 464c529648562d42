//! Folders as file descriptors: whoever exchanges a folder for a link meanwhile leads nobody anywhere.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{self, AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::Found;

/// What every folder is opened with. Reading is needed to sync it.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl Folder {
    /// The folder at a path. It may be a link: whose folder it is said so.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self(fs::open(path, FOLDER, Mode::empty())?))
    }

    /// A folder in this one, which is no link.
    pub(crate) fn sub(&self, name: &str) -> io::Result<Self> {
        Ok(Self(fs::openat(&self.0, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?))
    }

    pub(crate) fn make_sub(&self, name: &str) -> io::Result<()> {
        Ok(fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o777))?)
    }

    /// Removes a folder that is empty.
    pub(crate) fn remove_sub(&self, name: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// What stands under a name; a link is a link.
    pub(crate) fn look(&self, name: &str) -> io::Result<Option<Found>> {
        let stat = match fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(err) => return Err(err.into()),
        };
        Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
            // What a peer sent is never run with somebody else's rights.
            FileType::RegularFile => Found::File(Some(Permissions::from_mode(
                Mode::from_raw_mode(stat.st_mode).bits() as u32 & 0o777,
            ))),
            FileType::Directory => Found::Folder,
            FileType::Symlink => Found::Link,
            _ => Found::Special,
        }))
    }

    /// A new file, locked. If others can't see what is in `like`, they don't see it in this either.
    ///
    /// A receiver that starts may find it before it is locked, and remove it: then, too, the name is said to be taken.
    pub(crate) fn create(&self, name: &str, like: Option<&Permissions>) -> io::Result<File> {
        let mode = like.map_or(0o666, |like| like.mode() & 0o777 | 0o600);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(fs::openat(&self.0, name, flags, Mode::from_raw_mode(mode as _))?);
        match try_lock(&file).and_then(|locked| Ok(locked && self.has(name, &file)?)) {
            Ok(true) => Ok(file),
            Ok(false) => Err(ErrorKind::AlreadyExists.into()),
            Err(err) => {
                // There are no locks here: nobody would remove it.
                let _ = self.remove(name);
                Err(err)
            }
        }
    }

    /// A regular file, locked, to read from and to add to its end; none if somebody else has locked it. If it has been
    /// exchanged meanwhile it is said not to be found. Where it can only be read, it is an error if `write`.
    pub(crate) fn lock(&self, name: &str, write: bool) -> io::Result<Option<File>> {
        // Not blocking: somebody could put a pipe there.
        let flags = OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match fs::openat(&self.0, name, flags | OFlags::RDWR, Mode::empty()) {
            Err(Errno::ACCESS) if !write => fs::openat(&self.0, name, flags | OFlags::RDONLY, Mode::empty()),
            other => other,
        };
        let file = File::from(file?);
        if !file.metadata()?.is_file() {
            return Err(ErrorKind::NotFound.into());
        }
        if !try_lock(&file)? {
            return Ok(None);
        }
        if self.has(name, &file)? { Ok(Some(file)) } else { Err(ErrorKind::NotFound.into()) }
    }

    /// A number that a file keeps, and no other in the folder has.
    pub(crate) fn number(file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.ino())
    }

    /// `from` takes the name `to`, whatever file had it.
    pub(crate) fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// `from` takes the name `to` if nothing has it. `Unsupported`: the file system has no way to see to that.
    pub(crate) fn take(&self, from: &str, to: &str) -> io::Result<()> {
        match self.rename_exclusive(from, to) {
            // The file system (NFS, some in user space) or the kernel has no such thing: then it has hard links.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.link(from, to),
            other => Ok(other?),
        }
    }

    #[cfg(any(target_vendor = "apple", target_os = "linux", target_os = "android"))]
    fn rename_exclusive(&self, from: &str, to: &str) -> Result<(), Errno> {
        fs::renameat_with(&self.0, from, &self.0, to, fs::RenameFlags::NOREPLACE)
    }

    #[cfg(not(any(target_vendor = "apple", target_os = "linux", target_os = "android")))]
    fn rename_exclusive(&self, _: &str, _: &str) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        match fs::linkat(&self.0, from, &self.0, to, AtFlags::empty()) {
            // What Linux says where there are no hard links.
            Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP) => return Err(ErrorKind::Unsupported.into()),
            other => other?,
        }
        // The file has its name. Its other one is a leftover, if it should stay.
        let _ = self.remove(from);
        Ok(())
    }

    /// What names in it have come to stays so.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match fs::fsync(&self.0) {
            // Some file systems have nothing to sync in a folder, and say it so.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
            other => Ok(other?),
        }
    }

    /// The names in it, and whether they may be folders' names. Names that are not UTF-8 can't be received and are
    /// passed over.
    pub(crate) fn list(&self) -> io::Result<Vec<(String, bool)>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !matches!(name, "." | "..") {
                let folder = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
                names.push((name.to_owned(), folder));
            }
        }
        Ok(names)
    }

    /// Whether the folder has been removed.
    pub(crate) fn is_gone(&self) -> bool {
        fs::fstat(&self.0).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// Whether this file is the one with that name.
    fn has(&self, name: &str, file: &File) -> io::Result<bool> {
        let there = match fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => there,
            Err(Errno::NOENT) => return Ok(false),
            Err(err) => return Err(err.into()),
        };
        let file = fs::fstat(file)?;
        Ok((there.st_dev, there.st_ino) == (file.st_dev, file.st_ino))
    }
}

fn try_lock(file: &File) -> io::Result<bool> {
    match fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(err) => Err(err.into()),
    }
}

pub(crate) fn is_name_too_long(err: &io::Error) -> bool {
    Errno::from_io_error(err) == Some(Errno::NAMETOOLONG)
}

/// Whether the file system has no such names: some take only certain characters.
pub(crate) fn is_name_unusable(err: &io::Error) -> bool {
    matches!(Errno::from_io_error(err), Some(Errno::INVAL | Errno::ILSEQ))
}

pub(crate) fn is_handle_limit(err: &io::Error) -> bool {
    matches!(Errno::from_io_error(err), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn a_name_is_taken_only_if_it_is_free_with_and_without_hard_links() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path()).unwrap();
        let write = |name: &str| std::fs::write(dir.path().join(name), name).unwrap();
        type Way = fn(&Folder, &str, &str) -> io::Result<()>;
        let ways: [Way; 3] =
            [Folder::take, Folder::link, |folder, from, to| Ok(folder.rename_exclusive(from, to)?)];
        for (number, way) in ways.into_iter().enumerate() {
            let (free, taken) = (format!("free {number}"), format!("taken {number}"));
            write("from");
            write(&taken);
            std::os::unix::fs::symlink("nowhere", dir.path().join(format!("link {number}"))).unwrap();
            assert_eq!(way(&folder, "from", &taken).unwrap_err().kind(), ErrorKind::AlreadyExists);
            let link = way(&folder, "from", &format!("link {number}")).unwrap_err();
            assert_eq!(link.kind(), ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read_to_string(dir.path().join(&taken)).unwrap(), taken);
            way(&folder, "from", &free).unwrap();
            assert_eq!(std::fs::read_to_string(dir.path().join(&free)).unwrap(), "from");
            assert!(folder.look("from").unwrap().is_none());
        }
        assert!(!dir.path().join("nowhere").exists());
    }

    #[test]
    fn a_lock_is_held_by_one_and_only_on_what_still_has_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path()).unwrap();
        let held = folder.create("a", None).unwrap();
        assert_eq!(folder.create("a", None).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert!(folder.lock("a", true).unwrap().is_none());
        drop(held);
        let held = folder.lock("a", true).unwrap().unwrap();
        assert!(folder.has("a", &held).unwrap());
        std::fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert!(!folder.has("a", &held).unwrap());
        std::fs::write(dir.path().join("a"), "").unwrap();
        assert!(!folder.has("a", &held).unwrap());
        assert_eq!(folder.lock("c", true).unwrap_err().kind(), ErrorKind::NotFound);
    }
    /// Where syncing costs nothing, so that two meet often.
    fn shared() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let folder = Folder::at(dir.path()).unwrap();
        (dir, folder)
    }

    #[test]
    fn what_is_made_is_there_however_many_remove_what_nobody_holds() {
        let (_dir, folder) = &shared();
        let made = &AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !made.load(Ordering::Relaxed) {
                        if let Ok(Some(_held)) = folder.lock("a", false) {
                            let _ = folder.remove("a");
                        }
                    }
                });
            }
            let lost = (0..50_000).find(|_| {
                let Ok(held) = folder.create("a", None) else { return false };
                let there = folder.has("a", &held).unwrap();
                let _ = folder.remove("a");
                !there
            });
            made.store(true, Ordering::Relaxed);
            assert_eq!(lost, None);
        });
    }

    #[test]
    fn who_holds_a_file_holds_the_one_with_the_name() {
        let (_dir, folder) = &shared();
        drop(folder.create("a", None).unwrap());
        thread::scope(|scope| {
            for own in ["0", "1", "2"] {
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        let Ok(Some(held)) = folder.lock("a", true) else { continue };
                        assert!(folder.has("a", &held).unwrap());
                        drop(folder.create(own, None).unwrap());
                        folder.replace(own, "a").unwrap();
                    }
                });
            }
        });
    }
}
