//! The key of sealed packets: 32 bytes, from a file.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use heartwire_core::escape::escape_bytes;
use zeroize::Zeroizing;

use crate::exit::{Failure, Outcome};
use crate::hex;

/// A key's length in bytes.
const KEY: usize = 32;
/// The longest file: 64 digits and a newline, which may be two bytes.
const LONGEST: usize = 2 * KEY + 2;

/// The options that every subcommand with sealed packets takes.
// No group: clap names one after the type, and those of two `Args` would clash.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// File that holds the shared key: 32 bytes, or 64 hexadecimal digits; `heartwire keygen` makes one
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
}

impl Args {
    /// The key that was given.
    pub fn key(&self) -> Outcome<Zeroizing<[u8; KEY]>> {
        read(&self.key_file)
    }
}

/// The key in a file: its 32 bytes, or what its 64 digits say.
pub fn read(path: &Path) -> Outcome<Zeroizing<[u8; KEY]>> {
    let name = path.display();
    let cannot_read = |error: io::Error| {
        Failure::usage(format_args!(
            "{name}: can't read the key file: {error}; check --key-file, or make one with `heartwire keygen FILE`"
        ))
    };
    let mut file = File::open(path).map_err(cannot_read)?;
    let metadata = file.metadata().map_err(cannot_read)?;
    // one byte more than a key may have
    let mut room = Zeroizing::new([0; LONGEST + 1]);
    let held = fill(&mut file, room.as_mut_slice()).map_err(cannot_read)?;
    let key = parse(&room[..held]).ok_or_else(|| {
        let more = if held > LONGEST { "more than " } else { "" };
        Failure::usage(format_args!(
            "{name}: holds {more}{} bytes, which are neither a key of 32 bytes nor 64 hexadecimal digits and at most one newline; make one with `heartwire keygen FILE`",
            held.min(LONGEST)
        ))
    })?;
    warn_if_others_may_read(path, &metadata);
    Ok(key)
}

/// Warns of a key that is not only its owner's.
pub fn warn_if_others_may_read(path: &Path, metadata: &Metadata) {
    if others_may_read(metadata) {
        let name = escape_bytes(path.as_os_str().as_encoded_bytes());
        tracing::warn!("{name}: other users may read this key; take that from them with `chmod 600`");
    }
}

/// The key that these bytes are or say. 32 bytes are the key itself, even if all of them are digits.
fn parse(held: &[u8]) -> Option<Zeroizing<[u8; KEY]>> {
    let mut key = Zeroizing::new([0; KEY]);
    if held.len() == KEY {
        key.copy_from_slice(held);
    } else {
        hex::read(super::without_newline(held), key.as_mut_slice())?;
    }
    Some(key)
}

/// Reads to the end, or until there is no room; gives how much.
fn fill(input: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut held = 0;
    while held < room.len() {
        match input.read(&mut room[held..]) {
            Ok(0) => break,
            Ok(n) => held += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(held)
}

/// Whether a file's mode lets others read it; a pipe's says nothing.
fn others_may_read(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    return metadata.is_file() && std::os::unix::fs::MetadataExt::mode(metadata) & 0o044 != 0;
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use tempfile::TempDir;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        keys: Args,
    }

    /// What becomes of a file that holds this.
    fn key_of(held: &[u8]) -> Result<[u8; KEY], String> {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, held).unwrap();
        let args = Cli::parse_from(["sealed".as_ref(), "--key-file".as_ref(), path.as_os_str()]);
        args.keys.key().map(|key| *key).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn a_key_is_32_bytes_or_64_digits_and_a_newline() {
        let raw = std::array::from_fn(|i| 0xff - i as u8);
        assert_eq!(key_of(&raw).unwrap(), raw);
        // nothing is taken off, and digits are bytes like others
        for raw in [*b"0123456789abcdef0123456789abcdef", [b'\n'; KEY], [0; KEY]] {
            assert_eq!(key_of(&raw).unwrap(), raw);
        }
        let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        for hex in [hex.to_uppercase(), hex] {
            for ending in ["", "\n", "\r\n"] {
                assert_eq!(key_of(format!("{hex}{ending}").as_bytes()).unwrap(), raw, "{ending:?}");
            }
        }
    }

    #[test]
    fn everything_else_is_bad_usage_and_says_no_more_than_its_length() {
        let hex = "5e".repeat(KEY);
        let not_hex = format!("{}5g", &hex[2..]);
        for (held, said) in [
            (String::new(), "holds 0 bytes"),
            ("\n".into(), "holds 1 bytes"),
            (hex[..31].into(), "holds 31 bytes"),
            (format!("{}\n", &hex[..32]), "holds 33 bytes"),
            (hex[..63].into(), "holds 63 bytes"),
            (format!("{}\n", &hex[..63]), "holds 64 bytes"),
            (not_hex.clone(), "holds 64 bytes"),
            (format!("{not_hex}\n"), "holds 65 bytes"),
            (format!("{hex} "), "holds 65 bytes"),
            (format!("{hex}\r"), "holds 65 bytes"),
            (format!("{hex}a"), "holds 65 bytes"),
            (format!("{hex}\n\n"), "holds 66 bytes"),
            (format!("{hex}5e"), "holds 66 bytes"),
            (format!("{hex}\r\n\n"), "holds more than 66 bytes"),
            (hex.repeat(1000), "holds more than 66 bytes"),
        ] {
            let failure = key_of(held.as_bytes()).unwrap_err();
            assert!(failure.contains("code: 2") && failure.contains(said), "{failure}");
            assert!(failure.contains("make one with `heartwire keygen FILE`"), "{failure}");
            assert!(!failure.contains("5e5e"), "the key is told: {failure}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_bad_usage() {
        let dir = TempDir::new().unwrap();
        for path in [dir.path().into(), dir.path().join("none"), dir.path().join("none/key")] {
            let failure = format!("{:?}", read(&path).unwrap_err());
            assert!(failure.contains("code: 2") && failure.contains("can't read the key file"), "{failure}");
            assert!(failure.contains("make one with `heartwire keygen FILE`"), "{failure}");
        }
        assert!(Cli::try_parse_from(["sealed"]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_noticed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, [1; KEY]).unwrap();
        for (mode, noticed) in [(0o600, false), (0o400, false), (0o611, false), (0o640, true), (0o604, true)]
        {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(others_may_read(&path.metadata().unwrap()), noticed, "{mode:o}");
        }
        assert!(!others_may_read(&dir.path().metadata().unwrap()));
    }
}
