//! What is read, between the transport and the machine.

use std::io;
use std::task::{Poll, ready};

use bytes::BytesMut;
use heartwire_core::protocol::{Cut, Protocol};
use heartwire_core::pump::Pump;
use heartwire_core::time::Instant;

use crate::block;

/// What is read.
#[derive(Default)]
pub(super) struct Input {
    /// The receive buffer, while it is lent.
    rx: BytesMut,
    /// How much was appended.
    fresh: usize,
    /// The stream has ended: why, if not in order.
    end: Option<io::Result<()>>,
    /// It was tried to read, and the machine was not told yet.
    tried: bool,
    /// The receive buffer is not a small one: a block, or larger.
    large: bool,
    /// The small one meanwhile.
    spare: BytesMut,
}

impl Input {
    /// The receive buffer is lent.
    pub(super) fn lend(&mut self, rx: BytesMut) {
        self.rx = rx;
    }

    /// Reads at most so much, until there is nothing more: into the thread's block, unless much waits for
    /// its rest already. `read` appends at most so many bytes; 0 at the end of the stream.
    pub(super) fn read(
        &mut self,
        max: usize,
        read: impl FnMut(&mut BytesMut, usize) -> Poll<io::Result<usize>>,
    ) -> Poll<()> {
        self.tried = true;
        if self.large || self.rx.len() > block::CARRIED || max > block::READ {
            self.large = true;
            self.rx.reserve(max);
            return self.fill(max, read);
        }
        let mut block = block::take();
        block.extend_from_slice(&self.rx);
        self.spare = std::mem::replace(&mut self.rx, block);
        self.large = true;
        let result = self.fill(max, read);
        if self.fresh == 0 {
            block::put(std::mem::replace(&mut self.rx, std::mem::take(&mut self.spare)));
            self.large = false;
        }
        result
    }

    fn fill(
        &mut self,
        max: usize,
        mut read: impl FnMut(&mut BytesMut, usize) -> Poll<io::Result<usize>>,
    ) -> Poll<()> {
        while self.fresh < max {
            let (before, room) = (self.rx.len(), max - self.fresh);
            match ready!(read(&mut self.rx, room)) {
                Ok(0) => self.end = Some(Ok(())),
                Ok(n) if n > room || self.rx.len().checked_sub(before) != Some(n) => {
                    self.end = Some(Err(io::Error::other("the transport says that it read what it did not")));
                }
                Ok(n) => {
                    self.fresh += n;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => self.end = Some(Err(error)),
            }
            break;
        }
        Poll::Ready(())
    }

    /// Tells the machine. Says whether it was tried to read.
    pub(super) fn report<P: Protocol>(&mut self, pump: &mut Pump<P>, now: Instant) -> bool {
        if !std::mem::take(&mut self.tried) {
            return false;
        }
        pump.return_rx(std::mem::take(&mut self.rx));
        let fresh = std::mem::take(&mut self.fresh);
        if fresh > 0 {
            pump.handle_read(now, fresh);
            self.give_back(pump);
        }
        match self.end.take() {
            None => {}
            Some(Ok(())) => pump.handle_read(now, 0),
            Some(Err(error)) => pump.handle_cut(now, Cut::ReadFailed(error.to_string())),
        }
        true
    }

    /// Gives a block back when little of it is not understood.
    fn give_back<P: Protocol>(&mut self, pump: &mut Pump<P>) {
        if !self.large || pump.unparsed() > block::CARRIED {
            return;
        }
        let block = pump.lend_rx();
        let mut small = std::mem::take(&mut self.spare);
        small.clear();
        small.extend_from_slice(&block);
        pump.return_rx(small);
        block::put(block);
        self.large = false;
    }
}
