//! What is written, between the machine and the transport.

use std::io::{self, IoSlice};
use std::task::{Poll, ready};

use heartwire_core::buf::TransmitQueue;
use heartwire_core::protocol::{Cut, Protocol};
use heartwire_core::pump::Pump;
use heartwire_core::time::Instant;

/// How many slices are offered to one write.
const SLICES: usize = 16;

/// Where bytes go.
pub(super) trait Sink {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;
    fn flush(&mut self) -> Poll<io::Result<()>>;
}

/// What is written.
#[derive(Default)]
pub(super) struct Output {
    /// What the machine lent.
    pub(super) tx: TransmitQueue,
    /// Bytes that the transport took and still holds back. The machine hears that they left when they are
    /// flushed: only then has a goodbye left, and is a message sent.
    unflushed: usize,
    /// Bytes that left, which the machine was not told yet.
    sent: usize,
    failed: Option<io::Error>,
}

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.tx.pending() == 0 && self.unflushed == 0
    }

    /// Writes once, and flushes when all that was there to write is written.
    pub(super) fn write(&mut self, sink: &mut impl Sink) -> Poll<()> {
        match ready!(self.try_write(sink)) {
            Ok(sent) => self.sent = sent,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.failed = Some(error),
        }
        Poll::Ready(())
    }

    fn try_write(&mut self, sink: &mut impl Sink) -> Poll<io::Result<usize>> {
        if self.unflushed == 0 {
            let offered;
            let mut slices = [&[][..]; SLICES];
            let n = match self.tx.slices(&mut slices) {
                // As it mostly is.
                1 => {
                    offered = slices[0].len();
                    ready!(sink.write(&[IoSlice::new(slices[0])]))?
                }
                used => {
                    offered = slices.iter().map(|slice| slice.len()).sum();
                    let slices = slices.map(IoSlice::new);
                    ready!(sink.write(slices.get(..used).unwrap_or_default()))?
                }
            };
            if n == 0 {
                let text = "the transport takes no more bytes";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::WriteZero, text)));
            }
            if n > offered {
                let text = "the transport says that it took more than there was";
                return Poll::Ready(Err(io::Error::other(text)));
            }
            self.tx.advance(n);
            if n < offered {
                return Poll::Ready(Ok(n));
            }
            self.unflushed = n;
        }
        ready!(sink.flush())?;
        Poll::Ready(Ok(std::mem::take(&mut self.unflushed)))
    }

    /// Tells the machine what left. Says whether anything did.
    pub(super) fn report_sent<P: Protocol>(&mut self, pump: &mut Pump<P>, now: Instant) -> bool {
        let sent = std::mem::take(&mut self.sent);
        if sent > 0 {
            pump.handle_transmitted(now, sent);
        }
        sent > 0
    }

    /// Tells the machine if writing failed. Says whether it did.
    pub(super) fn report_failure<P: Protocol>(&mut self, pump: &mut Pump<P>, now: Instant) -> bool {
        let Some(error) = self.failed.take() else { return false };
        pump.handle_cut(now, Cut::WriteFailed(error.to_string()));
        true
    }
}
