//! Is the peer alive: silence, and the progress of a frame that has begun.
//!
//! Any received byte resets the silence deadline. Once a frame has begun, some bytes or the rest of
//! it must come every so often. Both clocks stand still while we are not reading: the application
//! is behind then, not the peer.

use alloc::format;
use core::time::Duration;

use crate::error::{Code, Error};
use crate::time::Instant;
use crate::timer::earliest;

#[derive(Debug)]
pub(crate) struct Liveness {
    silence: Option<Duration>,
    window: Option<Duration>,
    window_bytes: usize,
    heard: Instant,
    /// The frame that has begun: since when its present window runs, and what came in it.
    frame: Option<(Instant, usize)>,
    paused: Option<Instant>,
}

impl Liveness {
    /// How long nothing may be received, and how long a frame that has begun may take for `window_bytes` or
    /// its rest.
    pub(crate) fn new(
        now: Instant,
        silence: Option<Duration>,
        window: Option<Duration>,
        window_bytes: usize,
    ) -> Self {
        Self { silence, window, window_bytes, heard: now, frame: None, paused: None }
    }

    /// Bytes arrived.
    pub(crate) fn handle_received(&mut self, now: Instant, fresh: usize) {
        self.heard = now;
        if let Some((since, bytes)) = &mut self.frame {
            *bytes = bytes.saturating_add(fresh);
            if *bytes >= self.window_bytes {
                (*since, *bytes) = (now, 0);
            }
        }
    }

    /// Bytes left: for a connection that is idle only if neither side sends.
    pub(crate) fn handle_sent(&mut self, now: Instant) {
        self.heard = now;
    }

    /// A frame was completed: what follows it is another one.
    pub(crate) fn handle_frame(&mut self) {
        self.frame = None;
    }

    /// Everything that can be parsed was; `begun`: a frame has begun and is not complete.
    pub(crate) fn handle_parsed(&mut self, now: Instant, begun: bool) {
        match (begun, &self.frame) {
            (false, _) => self.frame = None,
            (true, None) => self.frame = Some((now, 0)),
            (true, Some(_)) => {}
        }
    }

    /// Whether we are reading. While we are not, the clocks stand still.
    pub(crate) fn set_reading(&mut self, now: Instant, reading: bool) {
        match (reading, self.paused) {
            (false, None) => self.paused = Some(now),
            (true, Some(since)) => {
                let stood = now.since(since);
                // What arrived meanwhile all the same (a read was under way) is no younger than now.
                self.heard = (self.heard + stood).min(now);
                if let Some((window, _)) = &mut self.frame {
                    *window = (*window + stood).min(now);
                }
                self.paused = None;
            }
            _ => {}
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.paused.is_some() {
            return None;
        }
        earliest([self.silence_deadline(), self.window_deadline()])
    }

    fn silence_deadline(&self) -> Option<Instant> {
        self.silence.map(|silence| self.heard + silence)
    }

    fn window_deadline(&self) -> Option<Instant> {
        let (since, _) = self.frame?;
        self.window.map(|window| since + window)
    }

    /// The deadline that has passed.
    pub(crate) fn expired(&self, now: Instant) -> Option<Error> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        if self.silence_deadline().is_some_and(|deadline| deadline <= now) {
            let detail = format!("nothing was received for {:?}", self.silence.unwrap_or_default());
            return Some(Error::new(Code::PeerSilent, detail));
        }
        let detail = format!(
            "a frame began and neither ended nor grew by {} bytes in {:?}",
            self.window_bytes,
            self.window.unwrap_or_default()
        );
        Some(Error::new(Code::FrameStalled, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn liveness() -> Liveness {
        Liveness::new(at(0), Some(Duration::from_secs(30)), Some(Duration::from_secs(10)), 4096)
    }

    fn code(liveness: &Liveness, now: Instant) -> Option<Code> {
        liveness.expired(now).map(|error| error.code())
    }

    #[test]
    fn any_byte_resets_the_silence() {
        let mut peer = liveness();
        assert_eq!(code(&peer, at(29)), None);
        peer.handle_received(at(29), 1);
        peer.handle_frame();
        assert_eq!(code(&peer, at(58)), None);
        assert_eq!(code(&peer, at(59)), Some(Code::PeerSilent));
    }

    #[test]
    fn a_frame_that_trickles_is_stalled_and_one_that_flows_is_not() {
        let mut peer = liveness();
        peer.handle_received(at(0), 10);
        peer.handle_parsed(at(0), true);
        for second in 1..10 {
            peer.handle_received(at(second), 100);
            peer.handle_parsed(at(second), true);
        }
        assert_eq!(code(&peer, at(9)), None);
        assert_eq!(code(&peer, at(10)), Some(Code::FrameStalled));

        let mut peer = liveness();
        peer.handle_parsed(at(0), true);
        for second in 1..100 {
            peer.handle_received(at(second), 512);
            peer.handle_parsed(at(second), true);
            assert_eq!(code(&peer, at(second)), None);
        }
    }

    #[test]
    fn each_frame_has_a_window_of_its_own() {
        let mut peer = liveness();
        peer.handle_parsed(at(0), true);
        peer.handle_received(at(9), 10);
        peer.handle_frame();
        peer.handle_parsed(at(9), true);
        assert_eq!(code(&peer, at(18)), None);
        assert_eq!(code(&peer, at(19)), Some(Code::FrameStalled));
    }

    #[test]
    fn the_clocks_stand_still_while_we_do_not_read() {
        let mut peer = liveness();
        peer.handle_received(at(5), 10);
        peer.handle_parsed(at(5), true);
        peer.set_reading(at(10), false);
        assert_eq!(peer.deadline(), None);
        assert_eq!(code(&peer, at(1000)), None);
        peer.set_reading(at(1000), true);
        assert_eq!(peer.deadline(), Some(at(1005)));
        assert_eq!(code(&peer, at(1004)), None);
        assert_eq!(code(&peer, at(1005)), Some(Code::FrameStalled));
    }
}
