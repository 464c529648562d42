//! What came back, on stdout: exact for programs, escaped for people.

use std::io::{self, IsTerminal, Write};

use heartwire_core::escape::{escape, escape_bytes};
use heartwire_tokio::Message;
use tokio::sync::{mpsc, oneshot};

/// How much of a content type that is not text is shown, in characters.
const SHOWN: usize = 100;

/// Prints above a line that is being edited.
pub type Above = Box<dyn FnMut(String) -> io::Result<()> + Send>;

/// Prints messages in a thread: a reader of stdout that is slow holds up nothing but the printing.
pub struct Output {
    messages: mpsc::Sender<Message>,
    done: oneshot::Receiver<io::Result<()>>,
}

impl Output {
    /// Prints to stdout, above the edited line if there is one.
    pub fn start(above: Option<Above>) -> Self {
        let (messages, taken) = mpsc::channel(1);
        let (tell, done) = oneshot::channel();
        std::thread::spawn(move || {
            let printed = match above {
                Some(above) => print_above(taken, above),
                None => print(taken, io::stdout().is_terminal()),
            };
            let _ = tell.send(printed);
        });
        Self { messages, done }
    }

    /// Hands a message over; waits while the one before is being printed. False: printing has failed, and
    /// [`finish`](Self::finish) says why.
    pub async fn print(&self, message: Message) -> bool {
        self.messages.send(message).await.is_ok()
    }

    /// Waits until everything is printed.
    pub async fn finish(self) -> io::Result<()> {
        drop(self.messages);
        self.done.await.unwrap_or(Ok(()))
    }
}

fn print(mut messages: mpsc::Receiver<Message>, people: bool) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    while let Some(message) = messages.blocking_recv() {
        if !is_text(&message) {
            out.flush()?;
            let _ = writeln!(io::stderr(), "heartwire: {}", not_text(&message));
        } else if people {
            writeln!(out, "{}", escape_bytes(&message.content))?;
        } else {
            out.write_all(&message.content)?;
            out.write_all(b"\n")?;
        }
        if messages.is_empty() {
            out.flush()?;
        }
    }
    out.flush()
}

fn print_above(mut messages: mpsc::Receiver<Message>, mut above: Above) -> io::Result<()> {
    while let Some(message) = messages.blocking_recv() {
        above(if is_text(&message) {
            format!("{}\n", escape_bytes(&message.content))
        } else {
            format!("[{}]\n", not_text(&message))
        })?;
    }
    Ok(())
}

/// Whether a content is to be read as text.
fn is_text(message: &Message) -> bool {
    let full = message.content_type.to_ascii_lowercase();
    let essence = full.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/") || essence == "application/json" || essence.ends_with("+json")
}

fn not_text(message: &Message) -> String {
    let content_type = escape(&message.content_type).limit(SHOWN);
    format!("received {} bytes that are not text: {content_type}", message.content.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use heartwire_tokio::ContentType;

    #[test]
    fn texts_are_told_by_their_type() {
        for (content_type, text) in [
            ("text/plain; charset=utf-8", true),
            ("TEXT/HTML", true),
            ("application/json ; a=b", true),
            ("application/ld+json", true),
            ("application/octet-stream", false),
            ("image/text/", false),
        ] {
            let message = Message::new(ContentType::new(content_type).unwrap(), "x");
            assert_eq!(is_text(&message), text, "{content_type}");
        }
        let message = Message::new(ContentType::new("\u{1b}[2J").unwrap(), "x");
        assert!(not_text(&message).ends_with("received 1 bytes that are not text: \\u{1b}[2J"));
    }
}
