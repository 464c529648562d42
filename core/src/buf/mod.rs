//! Buffers: bytes on their way out, events that wait, and how much to read at once.

mod content;
mod events;
mod read_size;
mod transmit;

#[cfg(test)]
pub(crate) use content::COPIED;
pub(crate) use content::take_content;
pub(crate) use events::{EventQueue, Weigh};
pub(crate) use read_size::ReadSize;
pub(crate) use transmit::COPY;
pub use transmit::TransmitQueue;
