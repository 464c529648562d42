//! How a message is shown.

use heartwire_core::escape::escape;
use heartwire_tokio::Message;

use crate::console::Shown;

/// How much of a content type that is not text is shown, in characters.
const SHOWN: usize = 100;

/// Texts are printed; of everything else only what it is.
pub fn shown(message: Message) -> Shown {
    if is_text(&message) { Shown::Text(message.content) } else { Shown::Note(not_text(&message)) }
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
            assert_eq!(shown(message) == Shown::Text("x".into()), text, "{content_type}");
        }
        let message = Message::new(ContentType::new("\u{1b}[2J").unwrap(), "x");
        let note = "received 1 bytes that are not text: \\u{1b}[2J";
        assert_eq!(shown(message), Shown::Note(note.into()));
    }
}
