//! Binding Unix sockets. A socket's file outlives a server that was killed, and has to be told
//! from the file of one that lives.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

/// The most bytes a path may have: a field of fixed size in the operating system's address, less its end mark.
const MAX_PATH: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };
/// Between binding and listening a live server looks stale for a moment.
const SECOND_LOOK: Duration = Duration::from_millis(20);
/// How often somebody else may come between looking and binding.
const ATTEMPTS: usize = 5;

/// Listens on the Unix socket at `path`.
///
/// * Nothing there: the file is made.
/// * A stale socket file, one that nobody answers on: it is replaced.
/// * A live one: [`io::ErrorKind::AddrInUse`].
/// * Something that is not a socket: [`io::ErrorKind::AlreadyExists`]; it is never deleted.
///
/// The file goes when the [`SocketFile`] is dropped. Drop it before the listener, or with it.
///
/// # Errors
///
/// The above, a path that is too long for a socket, and what the operating system has against it. The
/// sentence says what was met and what to do.
pub fn bind(path: impl AsRef<Path>) -> io::Result<(UnixListener, SocketFile)> {
    let path = path.as_ref();
    check_length(path)?;
    for _ in 0..ATTEMPTS {
        match UnixListener::bind(path) {
            Ok(listener) => return Ok((listener, SocketFile::new(path)?)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => remove_stale(path)?,
            Err(error) => {
                return Err(say(error.kind(), path, format_args!("the socket can't be made: {error}")));
            }
        }
    }
    Err(say(io::ErrorKind::AddrInUse, path, format_args!("others keep binding it; choose another path")))
}

fn check_length(path: &Path) -> io::Result<()> {
    if SocketAddr::from_pathname(path).is_ok() {
        return Ok(());
    }
    let len = path.as_os_str().len();
    let why = if len > MAX_PATH {
        format!(
            "the path has {len} bytes, and a Unix socket's has {MAX_PATH} at most; choose a shorter one, or a relative one"
        )
    } else {
        "not a path that a Unix socket can have".into()
    };
    Err(say(io::ErrorKind::InvalidInput, path, format_args!("{why}")))
}

/// Removes the socket file at `path` if nobody answers on it.
fn remove_stale(path: &Path) -> io::Result<()> {
    let _held = hold_directory(path);
    let Some(found) = look(path)? else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(say(
            io::ErrorKind::AlreadyExists,
            path,
            format_args!(
                "something that is not a socket is there and is left alone; move it, or choose another path"
            ),
        ));
    }
    for look in 0..2 {
        match ask(path) {
            Answer::Gone => return Ok(()),
            Answer::Nobody if look == 0 => thread::sleep(SECOND_LOOK),
            Answer::Nobody => {}
            Answer::Somebody => {
                return Err(say(
                    io::ErrorKind::AddrInUse,
                    path,
                    format_args!("a server is listening here already; stop it, or choose another path"),
                ));
            }
            Answer::Unknown(error) => {
                return Err(say(
                    io::ErrorKind::AddrInUse,
                    path,
                    format_args!(
                        "a socket is there, and whether a server listens on it can't be found out ({error}); remove it, or choose another path"
                    ),
                ));
            }
        }
    }
    fs::remove_file(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        kind => Err(say(kind, path, format_args!("the stale socket file can't be removed: {error}"))),
    })
}

/// Holds the directory of `path` until it is dropped, so that of two servers that start at once the
/// second doesn't delete what the first has bound since both saw a stale file. Where it can't be
/// had, it goes without: better than a server that does not start.
fn hold_directory(path: &Path) -> Option<File> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = File::open(parent).ok()?;
    for _ in 0..100 {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(directory),
            Err(Errno::AGAIN | Errno::INTR) => thread::sleep(Duration::from_millis(10)),
            Err(_) => return None,
        }
    }
    None
}

fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(say(error.kind(), path, format_args!("can't look at it: {error}"))),
    }
}

enum Answer {
    Somebody,
    Nobody,
    Gone,
    Unknown(io::Error),
}

/// Whether somebody listens. Never waits: a server whose backlog is full is one that lives.
fn ask(path: &Path) -> Answer {
    let asked = || {
        let address = SocketAddrUnix::new(path)?;
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        rustix::net::connect(&socket, &address)
    };
    match asked() {
        // a socket of another type (datagrams) is held by somebody too
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS | Errno::PROTOTYPE) => Answer::Somebody,
        Err(Errno::CONNREFUSED) => Answer::Nobody,
        Err(Errno::NOENT) => Answer::Gone,
        Err(errno) => Answer::Unknown(errno.into()),
    }
}

fn say(kind: io::ErrorKind, path: &Path, why: std::fmt::Arguments<'_>) -> io::Error {
    io::Error::new(kind, format!("unix://{}: {why}", path.display()))
}

/// Which file it is, whatever its name. Inodes are used again, so the time it was made counts too,
/// where the file system knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    made: Option<SystemTime>,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), made: metadata.created().ok() }
    }
}

/// The file of a socket that was bound. Dropped, it removes the file if it is still the same one.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// As it was given, so that it still leads there when the directory was changed meanwhile.
    absolute: PathBuf,
    identity: Identity,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        let absolute = std::path::absolute(path)?;
        let identity = Identity::of(&fs::symlink_metadata(&absolute)?);
        Ok(Self { path: path.into(), absolute, identity })
    }

    /// The path that was bound.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let same =
            fs::symlink_metadata(&self.absolute).is_ok_and(|found| Identity::of(&found) == self.identity);
        if same {
            // nobody is left to hear that it failed, and the next start replaces it
            let _ = fs::remove_file(&self.absolute);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use tempfile::TempDir;

    fn place() -> (TempDir, PathBuf) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("s");
        (dir, path)
    }

    fn kind_and_text(error: &io::Error) -> (io::ErrorKind, String) {
        (error.kind(), error.to_string())
    }

    #[test]
    fn a_bound_socket_answers_and_its_file_goes_with_its_guard() {
        let (dir, path) = place();
        let (listener, file) = bind(&path).unwrap();
        assert_eq!(file.path(), path);
        UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
        drop(file);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_stale_file_is_replaced() {
        let (dir, path) = place();
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (_listener, _file) = bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_live_one_is_respected_even_if_its_backlog_is_full() {
        let (_dir, path) = place();
        let (_listener, _file) = bind(&path).unwrap();
        let (kind, text) = kind_and_text(&bind(&path).unwrap_err());
        assert_eq!(kind, io::ErrorKind::AddrInUse);
        assert!(text.contains("a server is listening here already"), "{text}");
        UnixStream::connect(&path).unwrap();
        // fill it: a connect that waits would now wait for ever
        let mut waiting = Vec::new();
        loop {
            let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
            rustix::io::ioctl_fionbio(&socket, true).unwrap();
            if rustix::net::connect(&socket, &SocketAddrUnix::new(&path).unwrap()).is_err()
                || waiting.len() > 10_000
            {
                break;
            }
            waiting.push(socket);
        }
        let (kind, text) = kind_and_text(&bind(&path).unwrap_err());
        assert_eq!(kind, io::ErrorKind::AddrInUse);
        assert!(text.contains("a server is listening here already"), "{text}");
    }

    #[test]
    fn what_is_not_a_stream_socket_is_left_alone() {
        let (dir, path) = place();
        for (n, make) in [
            (|path: &Path| fs::write(path, "precious").unwrap()) as fn(&Path),
            |path| fs::create_dir(path).unwrap(),
            |path| std::os::unix::fs::symlink("nowhere", path).unwrap(),
        ]
        .into_iter()
        .enumerate()
        {
            let path = path.with_extension(n.to_string());
            make(&path);
            let (kind, text) = kind_and_text(&bind(&path).unwrap_err());
            assert_eq!(kind, io::ErrorKind::AlreadyExists);
            assert!(text.contains("not a socket"), "{text}");
            assert!(fs::symlink_metadata(&path).is_ok());
        }
        let datagrams = dir.path().join("d");
        let _held = UnixDatagram::bind(&datagrams).unwrap();
        assert_eq!(bind(&datagrams).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(datagrams.exists());
    }

    #[test]
    fn a_guard_removes_only_its_own_file() {
        let (_dir, path) = place();
        let (listener, file) = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (_other, _other_file) = bind(&path).unwrap();
        drop(file);
        drop(listener);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_guard_knows_a_file_whose_mode_was_changed() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, path) = place();
        let (_listener, file) = bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_long_path_is_said_to_be_long() {
        let (dir, _) = place();
        let path = dir.path().join("x".repeat(120));
        let (kind, text) = kind_and_text(&bind(&path).unwrap_err());
        assert_eq!(kind, io::ErrorKind::InvalidInput);
        assert!(text.contains("at most; choose") && text.contains(&MAX_PATH.to_string()), "{text}");
        let fits = dir.path().join("x".repeat(MAX_PATH - dir.path().as_os_str().len() - 1));
        bind(fits).unwrap();
    }

    #[test]
    fn a_missing_directory_is_named() {
        let (dir, _) = place();
        let (kind, text) = kind_and_text(&bind(dir.path().join("no/s")).unwrap_err());
        assert_eq!(kind, io::ErrorKind::NotFound);
        assert!(text.contains("no/s: the socket can't be made"), "{text}");
    }

    #[test]
    fn of_many_that_start_at_once_on_a_stale_file_one_wins_and_lives() {
        for _ in 0..20 {
            let (dir, path) = place();
            drop(UnixListener::bind(&path).unwrap());
            let bound: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..16)
                    .map(|late| {
                        let path = &path;
                        scope.spawn(move || {
                            thread::sleep(Duration::from_micros(20 * late));
                            bind(path)
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(bound.iter().filter(|bound| bound.is_ok()).count(), 1, "{bound:?}");
            UnixStream::connect(&path).unwrap();
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }
}
