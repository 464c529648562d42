//! What is to be sent: found, opened and measured before anybody is connected to, since a message begins with its
//! length.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heartwire_files::Reader;
use heartwire_tokio::connection::length_prefixed::MAX_MESSAGE;

use crate::exit::{Failure, Outcome};

/// What is read and sent at once, in bytes.
pub const PIECE: usize = 128 * 1024;
/// What is copied at once into a temporary file, in bytes.
const COPIED: usize = 64 * 1024;

/// The name of stdin on the command line.
const STDIN: &str = "-";

/// A part of an open file that is one message.
#[derive(Debug)]
pub struct Source {
    /// What it is called; not escaped.
    name: String,
    file: Arc<File>,
    from: u64,
    len: u64,
}

impl Source {
    /// Its name. Not escaped: every failure is when it is shown, and nothing should be twice.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long it was when it was measured.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Reads it from its beginning.
    pub fn read(&self) -> Reader {
        Reader::new(Arc::clone(&self.file), self.from, self.len, PIECE)
    }

    /// Whether there is more now than was measured.
    pub fn has_grown(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() > self.from + self.len)
    }

    /// What went wrong with it while it was sent.
    pub fn broken(&self, error: &io::Error) -> String {
        let Self { name, len, .. } = self;
        if error.kind() == io::ErrorKind::UnexpectedEof {
            let left = self.file.metadata().map_or(0, |now| now.len().saturating_sub(self.from));
            return format!(
                "{name}: it has shrunk while it was sent, from {len} to {left} bytes; send it when nobody writes to it"
            );
        }
        format!("{name}: can't read it: {error}; check it, and send it again")
    }
}

/// Finds, opens and measures all of these. What is no regular file is copied into a temporary one first, when
/// nothing speaks against the others.
pub fn open_all(paths: &[PathBuf]) -> Outcome<Vec<Source>> {
    if paths.iter().filter(|path| is_stdin(path)).count() > 1 {
        return Err(Failure::usage("- (stdin) can be sent only once; give it once, or a file in its place"));
    }
    let found = paths.iter().map(|path| Found::at(path)).collect::<Outcome<Vec<_>>>()?;
    found.into_iter().map(Found::measured).collect()
}

/// A source whose length may not be known yet.
enum Found {
    Measured(Source),
    /// It has no length before its end.
    Stream(String, Opening),
}

/// What is still to be opened: that may wait for somebody to write.
enum Opening {
    Stdin,
    Path(PathBuf),
}

impl Found {
    fn at(path: &Path) -> Outcome<Self> {
        if is_stdin(path) {
            return Self::stdin();
        }
        let name = path.to_string_lossy().into_owned();
        let failed = |error| unreadable(&name, &error);
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() {
            return Ok(Self::Stream(name, Opening::Path(path.into())));
        }
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let measured = measure(&name, file, &metadata, 0)?;
        Ok(measured.map_or_else(|| Self::Stream(name, Opening::Path(path.into())), Self::Measured))
    }

    #[cfg(unix)]
    fn stdin() -> Outcome<Self> {
        use std::os::fd::AsFd;

        let name = "stdin";
        let failed = |error| unreadable(name, &error);
        let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        let mut stdin = File::from(stdin);
        let metadata = stdin.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        if metadata.is_file() {
            let from = stdin.stream_position().map_err(failed)?;
            if let Some(source) = measure(name, stdin, &metadata, from)? {
                return Ok(Self::Measured(source));
            }
        }
        Ok(Self::Stream(name.into(), Opening::Stdin))
    }

    #[cfg(not(unix))]
    fn stdin() -> Outcome<Self> {
        Ok(Self::Stream("stdin".into(), Opening::Stdin))
    }

    fn measured(self) -> Outcome<Source> {
        match self {
            Self::Measured(source) => Ok(source),
            Self::Stream(name, Opening::Stdin) => kept(name, io::stdin().lock()),
            Self::Stream(name, Opening::Path(path)) => {
                let file = File::open(path).map_err(|error| unreadable(&name, &error))?;
                kept(name, file)
            }
        }
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}

/// A regular file from this position on. None: it says that it is empty, and is not, as files do in which the
/// system says something of itself.
fn measure(name: &str, mut file: File, metadata: &Metadata, from: u64) -> Outcome<Option<Source>> {
    let len = metadata.len().saturating_sub(from);
    if len > MAX_MESSAGE {
        return Err(too_large(name, &format!("{len} bytes are")));
    }
    let start = SeekFrom::Start(from);
    let first = file.seek(start).and_then(|_| file.read(&mut [0]));
    // stdin may be another program's, too: it stays where it was
    let first = file.seek(start).and(first).map_err(|error| unreadable(name, &error))?;
    let measured = len > 0 || first == 0;
    Ok(measured.then(|| Source { name: name.into(), file: Arc::new(file), from, len }))
}

/// Keeps all that there is to be read in a temporary file, which has no name and ends with the program.
fn kept(name: String, mut input: impl Read) -> Outcome<Source> {
    let mut file = tempfile::tempfile().map_err(|error| no_room(&name, &error))?;
    let mut piece = vec![0; COPIED];
    let mut len = 0;
    loop {
        let n = match input.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(&name, &error)),
        };
        len += n as u64;
        if len > MAX_MESSAGE {
            return Err(too_large(&name, "its bytes are"));
        }
        file.write_all(&piece[..n]).map_err(|error| no_room(&name, &error))?;
    }
    Ok(Source { name, file: Arc::new(file), from: 0, len })
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::failed(format_args!("{name}: can't read it: {error}; check what is to be sent"))
}

fn too_large(name: &str, what: &str) -> Failure {
    Failure::failed(format_args!(
        "{name}: {what} more than the {MAX_MESSAGE} that a message may have (4 GiB - 1); split it"
    ))
}

/// A stream could not be kept.
fn no_room(name: &str, error: &io::Error) -> Failure {
    let folder = std::env::temp_dir();
    Failure::failed(format_args!(
        "{name}: can't keep it in {} until its length is known: {error}; make room there, or name another folder with TMPDIR",
        folder.display()
    ))
}
