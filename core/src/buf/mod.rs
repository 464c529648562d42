//! Buffers of bytes on their way out.

mod transmit;

pub use transmit::TransmitQueue;
