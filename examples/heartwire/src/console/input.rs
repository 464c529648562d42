//! Lines to send: read by a thread, one ahead of what was taken, each of bounded size.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use crate::exit::{Failure, Outcome};

/// What comes of an input. Its end is the end of the channel.
#[derive(Debug)]
pub enum Input {
    /// A line without its ending; and its number, from 1.
    Line(u64, String),
    /// A typed line is not taken, and why, as in "a line is longer than …"; the next one may be.
    Refused(String),
    /// It can't go on.
    Failed(Failure),
}

/// Which lines are taken.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The most bytes a line may have, without its ending.
    pub longest: u64,
    /// What that limit is, as in "longer than 9 bytes, the most that …".
    pub limit: &'static str,
    /// Whether lines of white space are passed over.
    pub skip_blank: bool,
}

impl Rules {
    pub fn skips(&self, line: &str) -> bool {
        self.skip_blank && line.trim().is_empty()
    }

    /// What is wrong with a line, if it is too long.
    pub fn refuse(&self, line: impl AsRef<[u8]>) -> Option<String> {
        let Self { longest, limit, .. } = self;
        let too_long = line.as_ref().len() as u64 > *longest;
        too_long.then(|| format!("longer than {longest} bytes, {limit}; split it"))
    }
}

/// A file that was found and is still to be read.
pub struct Source {
    path: PathBuf,
    /// The option that named it.
    option: &'static str,
    /// None: opening would wait for somebody to write.
    file: Option<File>,
}

impl Source {
    /// Opens the file that this option named, except one whose opening waits.
    pub fn open(option: &'static str, path: &Path) -> Outcome<Self> {
        let failed = |error| cannot_read(option, path, &error);
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            return Err(cannot_read(option, path, &io::ErrorKind::IsADirectory.into()));
        }
        #[cfg(unix)]
        let waits = std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type());
        #[cfg(not(unix))]
        let waits = false;
        let file = if waits { None } else { Some(File::open(path).map_err(failed)?) };
        Ok(Self { path: path.into(), option, file })
    }

    /// Reads its lines.
    pub fn lines(self, rules: Rules) -> mpsc::Receiver<Input> {
        in_thread(move |to| {
            let Self { path, option, file } = self;
            match file.map_or_else(|| File::open(&path), Ok) {
                Ok(file) => Lines { name: path.display().to_string(), rules, to }.read(file),
                Err(error) => to.send(Input::Failed(cannot_read(option, &path, &error))),
            }
        })
    }
}

fn cannot_read(option: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format_args!("{}: can't read it: {error}; check {option}", path.display()))
}

/// The lines of stdin.
pub fn stdin(rules: Rules) -> mpsc::Receiver<Input> {
    in_thread(move |to| Lines { name: "stdin".into(), rules, to }.read(io::stdin()))
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
    rules: Rules,
    to: To,
}

impl Lines {
    fn read(self, input: impl Read) {
        let mut input = BufReader::with_capacity(64 * 1024, input);
        for number in 1.. {
            match self.line(&mut input, number) {
                Ok(Some(line)) if self.rules.skips(&line) => {}
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
        let Self { name, rules, .. } = self;
        let mut line = Vec::new();
        // one byte more than the line and its ending may have
        let read = input.take(rules.longest.saturating_add(3)).read_until(b'\n', &mut line);
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
        if let Some(why) = rules.refuse(&line) {
            return Err(Failure::failed(format_args!("{name}, line {number}: {why}")));
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

    fn up_to(longest: u64) -> Rules {
        Rules { longest, limit: "the most that a test takes", skip_blank: true }
    }

    fn lines(input: &[u8], longest: u64) -> Vec<Result<(u64, String), String>> {
        lines_by(up_to(longest), input)
    }

    fn lines_by(rules: Rules, input: &[u8]) -> Vec<Result<(u64, String), String>> {
        let input = input.to_vec();
        let read = move |to| Lines { name: "f".into(), rules, to }.read(&input[..]);
        let mut receiver = in_thread(read);
        let mut lines = Vec::new();
        while let Some(input) = receiver.blocking_recv() {
            lines.push(match input {
                Input::Line(number, line) => Ok((number, line)),
                Input::Refused(why) => Err(why),
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
    fn blank_lines_are_lines_where_they_count() {
        let found = lines_by(Rules { skip_blank: false, ..up_to(3) }, b"\na\r\n\r\n  \n\n");
        let expected = [(1, ""), (2, "a"), (3, ""), (4, "  "), (5, "")];
        assert_eq!(found, expected.map(|(number, line)| Ok((number, line.into()))));
    }

    #[test]
    fn a_line_may_be_as_long_as_a_message_and_no_longer() {
        for ending in ["", "\n", "\r\n"] {
            assert_eq!(lines(format!("abc{ending}").as_bytes(), 3), [Ok((1, "abc".into()))]);
            let long = lines(format!("a\nabcd{ending}b\n").as_bytes(), 3);
            assert_eq!(long.len(), 2, "{long:?}");
            assert!(
                long[1]
                    .as_ref()
                    .unwrap_err()
                    .contains("f, line 2: longer than 3 bytes, the most that a test takes; split it")
            );
        }
    }

    #[test]
    fn a_line_without_end_is_not_read_to_its_end() {
        let read = |to| Lines { name: "f".into(), rules: up_to(3), to }.read(io::repeat(b'x'));
        assert!(matches!(in_thread(read).blocking_recv(), Some(Input::Failed(_))));
    }

    #[test]
    fn what_is_not_utf_8_is_named() {
        let found = lines(b"ok\nab\xff\nmore\n", 100);
        assert_eq!(found.len(), 2);
        assert!(found[1].as_ref().unwrap_err().contains("f, line 2: not UTF-8 at byte 3"));
    }
}
