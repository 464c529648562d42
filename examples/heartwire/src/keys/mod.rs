//! The keys both sides share: from files, or from the environment. Never from an argument, which other users of
//! the machine can see.

pub mod sealed;

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use heartwire_core::key::{Key, Keys, MAX_KEYS, WeakKey};
use zeroize::Zeroizing;

use crate::exit::{Failure, Outcome};

/// The environment variable that holds a key where no file does.
pub const VARIABLE: &str = "HEARTWIRE_KEY";
/// A file above this size is no key file but a mistake.
const MAX_FILE: u64 = 1024 * 1024;

/// The options that every subcommand with a session takes.
// No group: clap names one after the type, and those of two `Args` would clash.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    pub files: Files,

    /// Take a key shorter than 16 bytes, or the one that existing programs have built in
    #[arg(long)]
    pub allow_weak_key: bool,
}

#[derive(Debug, clap::Args)]
pub struct Files {
    /// File that holds a shared key; one trailing newline (\n or \r\n) is removed
    ///
    /// Repeatable, to replace a key: the first signs, all verify. Without it, the environment variable
    /// HEARTWIRE_KEY is the key, byte for byte.
    #[arg(long, value_name = "FILE")]
    pub key_file: Vec<PathBuf>,
}

impl Args {
    /// The keys that were given.
    pub fn keys(&self) -> Outcome<Keys> {
        self.files.keys(self.allow_weak_key, "give --key-file FILE, or set HEARTWIRE_KEY")
    }
}

impl Files {
    /// The keys that were given. `hint` says what to do if there are none.
    pub fn keys(&self, allow_weak: bool, hint: &str) -> Outcome<Keys> {
        if self.key_file.len() > MAX_KEYS {
            return Err(Failure::usage(format_args!(
                "{} key files are too many; give at most {MAX_KEYS}",
                self.key_file.len()
            )));
        }
        let mut keys: Option<Keys> = None;
        for path in &self.key_file {
            let key = make(&read(path)?, allow_weak, path.display())?;
            keys = Some(match keys {
                Some(keys) => keys.and_accept(key),
                None => Keys::new(key),
            });
        }
        if let Some(keys) = keys {
            return Ok(keys);
        }
        let value = Zeroizing::new(std::env::var_os(VARIABLE).unwrap_or_default().into_encoded_bytes());
        if value.is_empty() {
            return Err(Failure::usage(format_args!("no key; {hint}")));
        }
        make(&value, allow_weak, VARIABLE).map(Keys::new)
    }
}

fn make(bytes: &[u8], allow_weak: bool, source: impl Display) -> Outcome<Key> {
    let key = if allow_weak { Key::new_allow_weak(bytes) } else { Key::new(bytes) };
    key.map_err(|weak| {
        Failure::usage(match weak {
            _ if bytes.is_empty() => format!("{source}: {}; write a key into it", WeakKey::Empty),
            weak => format!(
                "{source}: {weak}; use a longer secret one, or --allow-weak-key if the peer has no better one"
            ),
        })
    })
}

/// The key in a file: its bytes without one trailing newline.
fn read(path: &Path) -> Outcome<Zeroizing<Vec<u8>>> {
    let say = |what: &dyn Display| Failure::usage(format_args!("{}: {what}", path.display()));
    let file = File::open(path)
        .map_err(|error| say(&format_args!("can't read the key file: {error}; check --key-file")))?;
    // room for all of it at once, so that growing leaves no copies behind
    let room = file.metadata().map_or(0, |metadata| metadata.len().min(MAX_FILE));
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or(0) + 64));
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| say(&format_args!("can't read the key file: {error}; check --key-file")))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(say(&format_args!("over {MAX_FILE} bytes are no key; give the file that holds the key")));
    }
    let len = without_newline(&bytes).len();
    bytes.truncate(len);
    Ok(bytes)
}

fn without_newline(bytes: &[u8]) -> &[u8] {
    let Some(rest) = bytes.strip_suffix(b"\n") else { return bytes };
    rest.strip_suffix(b"\r").unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_newline_is_not_part_of_a_key() {
        for (file, key) in [
            ("key", "key"),
            ("key\n", "key"),
            ("key\r\n", "key"),
            ("key\n\n", "key\n"),
            ("key\r", "key\r"),
            ("key\r\r\n", "key\r"),
            (" key \n", " key "),
            ("\n", ""),
            ("", ""),
        ] {
            assert_eq!(without_newline(file.as_bytes()), key.as_bytes(), "{file:?}");
        }
    }

    fn files(names: &[&Path]) -> Args {
        let key_file = names.iter().map(|name| name.to_path_buf()).collect();
        Args { files: Files { key_file }, allow_weak_key: false }
    }

    #[test]
    fn key_files_are_keys_and_weak_ones_need_a_word() {
        let dir = std::env::temp_dir().join(format!("heartwire-keys-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let [good, other, weak, empty] = ["good", "other", "weak", "empty"].map(|name| dir.join(name));
        std::fs::write(&good, "a key of sixteen bytes and more\n").unwrap();
        std::fs::write(&other, "another key of sixteen bytes\r\n").unwrap();
        std::fs::write(&weak, "default-key\n").unwrap();
        std::fs::write(&empty, "\n").unwrap();

        assert_eq!(files(&[&good]).keys().unwrap().len(), 1);
        assert_eq!(files(&[&good, &other, &good]).keys().unwrap().len(), 2);
        let say = |args: Args| format!("{:?}", args.keys().unwrap_err());
        assert!(say(files(&[&good, &weak])).contains("--allow-weak-key"));
        assert!(say(files(&[&empty])).contains("the key is empty; write a key into it"));
        assert!(say(files(&[&dir.join("none")])).contains("can't read the key file"));
        assert!(say(files(&[good.as_path(); MAX_KEYS + 1])).contains("at most 16"));
        assert!(Args { allow_weak_key: true, ..files(&[&weak]) }.keys().is_ok());
        assert!(Args { allow_weak_key: true, ..files(&[&empty]) }.keys().is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
