//! `keygen`: a new key, in a file that only its owner reads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use heartwire_core::escape::escape_bytes;
use zeroize::Zeroizing;

use crate::exit::{Failure, Outcome};
use crate::hex;

/// A key's length in bytes.
const KEY: usize = 32;

/// Write a new key to a file
///
/// The key is 32 bytes of the operating system's randomness, written as 64 hexadecimal digits and a newline. The file
/// must not exist yet, and only its owner may read it. Both sides need the same key: copy the file in a way that
/// nobody else can read along.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to write; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub fn run(args: &Args) -> Outcome {
    let path = &args.file;
    let line = new_line()?;
    let file = create(path).map_err(|error| cannot_create(path, &error))?;
    write(file, line.as_slice()).map_err(|error| cannot_write(path, &error))?;
    let name = escape_bytes(path.as_os_str().as_encoded_bytes());
    writeln!(io::stdout(), "wrote a new key to {name}").map_err(|error| Failure::stdout(&error))
}

/// What the file will hold.
fn new_line() -> Outcome<Zeroizing<[u8; 2 * KEY + 1]>> {
    let mut key = Zeroizing::new([0; KEY]);
    getrandom::fill(key.as_mut_slice()).map_err(|error| {
        Failure::failed(format_args!(
            "the operating system gave no randomness for a key: {error}; try again later"
        ))
    })?;
    let mut line = Zeroizing::new([b'\n'; 2 * KEY + 1]);
    hex::write(key.as_slice(), line.as_mut_slice());
    Ok(line)
}

/// Creates the file, or fails: neither a file nor a link of this name is followed.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn write(mut file: File, line: &[u8]) -> io::Result<()> {
    // the umask may have left its owner less; and some file systems know no owners, which is no place for a key
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.write_all(line)?;
    file.sync_all()
}

fn cannot_create(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    let todo = match error.kind() {
        io::ErrorKind::AlreadyExists => {
            return Failure::failed(format_args!(
                "{path}: exists already; choose another name, a key is never overwritten"
            ));
        }
        io::ErrorKind::NotFound => "make the folder first, or check the name",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a folder that you may write to"
        }
        _ => "choose another name",
    };
    Failure::failed(format_args!("{path}: can't create it: {error}; {todo}"))
}

/// Half a key is worse than none: the file goes.
fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let todo = match fs::remove_file(path) {
        Ok(()) => "choose a folder on another disk",
        Err(_) => "remove it, and choose a folder on another disk",
    };
    Failure::failed(format_args!("{}: can't write the key: {error}; {todo}", path.display()))
}
