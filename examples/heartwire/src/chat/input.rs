//! Lines to send: read by a thread, one ahead of what was sent, each of bounded size.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use crate::exit::{Failure, Outcome};

/// What comes of an input. Its end is the end of the channel.
#[derive(Debug)]
pub enum Input {
    /// A line that is not blank, without its ending; and its number, from 1.
    Line(u64, String),
    /// It can't go on.
    Failed(Failure),
}

/// A file that was found and is still to be read.
pub struct Source {
    path: PathBuf,
    /// None: opening would wait for somebody to write.
    file: Option<File>,
}

impl Source {
    /// Opens a file, except one whose opening waits.
    pub fn open(path: &Path) -> Outcome<Self> {
        let failed = |error| cannot_read(path, &error);
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            return Err(cannot_read(path, &io::ErrorKind::IsADirectory.into()));
        }
        #[cfg(unix)]
        let waits = std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type());
        #[cfg(not(unix))]
        let waits = false;
        let file = if waits { None } else { Some(File::open(path).map_err(failed)?) };
        Ok(Self { path: path.into(), file })
    }

    /// Reads its lines, of at most `limit` bytes.
    pub fn lines(self, limit: u64) -> mpsc::Receiver<Input> {
        in_thread(move |to| {
            let Self { path, file } = self;
            match file.map_or_else(|| File::open(&path), Ok) {
                Ok(file) => Lines { name: path.display().to_string(), limit, to }.read(file),
                Err(error) => to.send(Input::Failed(cannot_read(&path, &error))),
            }
        })
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format_args!("{}: can't read it: {error}; check --file", path.display()))
}

/// The lines of stdin, of at most `limit` bytes.
pub fn stdin(limit: u64) -> mpsc::Receiver<Input> {
    in_thread(move |to| Lines { name: "stdin".into(), limit, to }.read(io::stdin()))
}

/// Where a thread puts what it reads.
pub struct To(mpsc::Sender<Input>);

impl To {
    /// Waits until the one before was taken. Nobody takes it any more: that will show.
    pub fn send(&self, input: Input) {
        let _ = self.0.blocking_send(input);
    }

    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// Reading may block for ever: a thread of its own, which the end of the program does not wait for.
pub fn in_thread(read: impl FnOnce(To) + Send + 'static) -> mpsc::Receiver<Input> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || read(To(sender)));
    receiver
}

struct Lines {
    name: String,
    limit: u64,
    to: To,
}

impl Lines {
    fn read(self, input: impl Read) {
        let mut input = BufReader::with_capacity(64 * 1024, input);
        for number in 1.. {
            match self.line(&mut input, number) {
                Ok(Some(line)) if line.trim().is_empty() => {}
                Ok(Some(line)) => self.to.send(Input::Line(number, line)),
                Ok(None) => return,
                Err(failure) => return self.to.send(Input::Failed(failure)),
            }
            if self.to.is_closed() {
                return;
            }
        }
    }

    fn line(&self, input: &mut impl BufRead, number: u64) -> Outcome<Option<String>> {
        let Self { name, limit, .. } = self;
        let mut line = Vec::new();
        // one byte more than the line and its ending may have
        let read = input.take(limit + 3).read_until(b'\n', &mut line);
        let n = read.map_err(|error| Failure::failed(format_args!("{name}: can't read it: {error}")))?;
        if n == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        if line.len() as u64 > *limit {
            return Err(Failure::failed(format_args!(
                "{name}, line {number}: longer than {limit} bytes, the most that this server takes in a message; split it"
            )));
        }
        String::from_utf8(line).map(Some).map_err(|error| {
            let at = error.utf8_error().valid_up_to() + 1;
            Failure::failed(format_args!(
                "{name}, line {number}: not UTF-8 at byte {at}; convert it to UTF-8"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8], limit: u64) -> Vec<Result<(u64, String), String>> {
        let input = input.to_vec();
        let read = move |to| Lines { name: "f".into(), limit, to }.read(&input[..]);
        let mut receiver = in_thread(read);
        let mut lines = Vec::new();
        while let Some(input) = receiver.blocking_recv() {
            lines.push(match input {
                Input::Line(number, line) => Ok((number, line)),
                Input::Failed(failure) => Err(format!("{failure:?}")),
            });
        }
        lines
    }

    #[test]
    fn lines_lose_their_ending_and_blank_ones_are_passed_over() {
        let found = lines("a\r\n\n  \t\r\n b \r\r\nc\rd\nlast".as_bytes(), 100);
        let expected = [(1, "a"), (4, " b \r"), (5, "c\rd"), (6, "last")];
        assert_eq!(found, expected.map(|(number, line)| Ok((number, line.into()))));
        assert_eq!(lines(b"", 100), []);
        assert_eq!(lines(b"\n", 100), []);
    }

    #[test]
    fn a_line_may_be_as_long_as_a_message_and_no_longer() {
        for ending in ["", "\n", "\r\n"] {
            assert_eq!(lines(format!("abc{ending}").as_bytes(), 3), [Ok((1, "abc".into()))]);
            let long = lines(format!("a\nabcd{ending}b\n").as_bytes(), 3);
            assert_eq!(long.len(), 2, "{long:?}");
            assert!(long[1].as_ref().unwrap_err().contains("line 2: longer than 3 bytes"));
        }
    }

    #[test]
    fn a_line_without_end_is_not_read_to_its_end() {
        let read = |to| Lines { name: "f".into(), limit: 3, to }.read(io::repeat(b'x'));
        assert!(matches!(in_thread(read).blocking_recv(), Some(Input::Failed(_))));
    }

    #[test]
    fn what_is_not_utf_8_is_named() {
        let found = lines(b"ok\nab\xff\nmore\n", 100);
        assert_eq!(found.len(), 2);
        assert!(found[1].as_ref().unwrap_err().contains("f, line 2: not UTF-8 at byte 3"));
    }
}
