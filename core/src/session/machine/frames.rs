//! What each frame that arrived does.

use alloc::format;
use alloc::sync::Arc;

use bytes::Bytes;

use super::Session;
use crate::closing::Ending;
use crate::config::Receive;
use crate::ended::EndedBy;
use crate::error::{Code, Error};
use crate::message::Message;
use crate::session::event::{Established, Event, Piece};
use crate::session::gather::Gathered;
use crate::session::reassembly::too_large;
use crate::session::state::State;
use crate::session::{goodbye, handshake};
use crate::time::Instant;
use crate::wire::envelope::{Frame, FrameType, Header, Hello, Kind, Protection};

impl<P: Protection> Session<P> {
    pub(super) fn handle_frame(&mut self, now: Instant, frame: Frame) -> Result<(), Error> {
        let Frame { header, content } = frame;
        let Header { kind, content_type, session_id } = header;
        let state = self.connection.state;
        let frame_type = kind.frame_type();
        self.check_place(frame_type)?;
        // Who says what the session's id is can't be wrong about it.
        let checked = match frame_type {
            FrameType::SessionInit => Ok(()),
            _ => self.check_session(&kind, session_id.as_ref()),
        };
        if let Err(error) = checked {
            if frame_type == FrameType::Error {
                // Refused too, but an error is never answered.
                let ending = Ending::new(EndedBy::Local, error.code(), error.detail());
                self.leave(now, ending);
                return Ok(());
            }
            return Err(error);
        }
        match kind {
            Kind::SessionInit(hello) => {
                let id = handshake::session_id(session_id)?;
                self.conversation.session_id = Some(id.clone());
                self.establish(now, hello);
                let (header, content) = handshake::ack(&self.config, &id);
                self.send_frame(&header, &content, false);
            }
            Kind::SessionAck(hello) => self.establish(now, hello),
            Kind::Heartbeat { seq } => {
                if let Some(time) = self.connection.heartbeat.handle_frame(now, &content, seq) {
                    self.conversation.inbox.push(Event::RoundTrip(time));
                }
            }
            Kind::Message { app } => {
                self.check_size(&content)?;
                self.deliver(now, Event::Message(Message { content_type, content, app }));
            }
            Kind::Chunk(chunk) => {
                let piece = self.conversation.reassembly.handle_chunk(chunk, content_type, content)?;
                self.deliver_piece(now, piece)?;
            }
            Kind::Error { code } => {
                let (code, detail) = goodbye::peer_error(code.as_deref(), &content);
                self.leave(now, Ending::new(EndedBy::PeerError, code, detail));
            }
            Kind::Disconnect => {
                let reason = goodbye::disconnect_reason(&content);
                // Both said goodbye: we did so first.
                if !matches!(state, State::Flushing { .. }) {
                    self.leave(now, Ending::new(EndedBy::Peer, Code::Disconnected, reason));
                } else {
                    self.connection.state = State::Flushing { open: false };
                }
            }
        }
        Ok(())
    }

    /// A message with the same header as the last one, which was in order.
    pub(super) fn handle_message_again(&mut self, now: Instant, content: Bytes) -> Result<(), Error> {
        self.check_place(FrameType::Message)?;
        self.check_size(&content)?;
        if let Some(Header { kind: Kind::Message { app }, content_type, .. }) =
            self.connection.link.last_message()
        {
            let (content_type, app) = (content_type.clone(), app.clone());
            self.deliver(now, Event::Message(Message { content_type, content, app }));
        }
        Ok(())
    }

    fn check_place(&self, frame_type: FrameType) -> Result<(), Error> {
        let state = self.connection.state;
        if state.accepts(frame_type, self.config.accept_chunks()) {
            return Ok(());
        }
        let detail = format!("a frame of type {} has no place while {}", frame_type.name(), state.name());
        Err(Error::new(Code::UnexpectedType, detail))
    }

    fn check_size(&self, content: &Bytes) -> Result<(), Error> {
        let size = content.len() as u64;
        if size > self.config.message_limit() {
            return Err(too_large(size, self.config.message_limit()));
        }
        Ok(())
    }

    pub(super) fn check_session(&self, kind: &Kind, id: Option<&Arc<str>>) -> Result<(), Error> {
        let ours = self.conversation.session_id.as_ref();
        let matches = match (id, kind) {
            // Who refuses the first frame of a session has none yet.
            (None, Kind::Error { .. }) => self.connection.state.is_handshake(),
            // What is refused before there is a session may come with any id.
            (Some(_), Kind::Error { .. }) if ours.is_none() => true,
            (id, _) => id == ours,
        };
        if matches {
            return Ok(());
        }
        let found = id.map_or("no session".into(), |id| format!("session {id}"));
        Err(Error::new(
            Code::WrongSession,
            format!("a frame of {found} in session {}", ours.map_or("-", |id| id)),
        ))
    }

    /// The handshake is done.
    pub(super) fn establish(&mut self, now: Instant, peer: Hello) {
        let connection = &mut self.connection;
        let conversation = &mut self.conversation;
        connection.state = State::Established;
        connection.handshake_deadline = None;
        connection.link.set_legacy(peer.features.is_none());
        connection.heartbeat.start(now);
        conversation.terms = Some(handshake::terms(&self.config, &peer));
        if let Some(id) = &conversation.session_id {
            connection.link.expect_session(id);
            conversation.inbox.push(Event::Established(Established {
                session_id: id.clone(),
                features: peer.features.clone(),
                limits: peer.limits,
            }));
        }
        conversation.peer = peer;
        if let Some(reason) = self.connection.close_reason.take() {
            self.finish(now, reason);
        }
    }

    pub(super) fn deliver_piece(&mut self, now: Instant, piece: Piece) -> Result<(), Error> {
        if self.config.receive() == Receive::Pieces {
            self.deliver(now, Event::Piece(piece));
            return Ok(());
        }
        match self.conversation.gatherer.add(piece)? {
            Gathered::More => {}
            Gathered::Message(message) => self.deliver(now, Event::Message(message)),
            Gathered::Abandoned { content_type, received } => {
                self.deliver(now, Event::Abandoned { content_type, received });
            }
        }
        Ok(())
    }

    #[cold]
    fn count_message(&mut self, now: Instant) {
        if let Some(throttle) = self.throttle_mut() {
            throttle.handle_message(now);
        }
    }

    #[inline]
    pub(super) fn deliver(&mut self, now: Instant, event: Event) {
        if self.connection.throttle.is_some() && event.ends_message() {
            self.count_message(now);
        }
        let stats = &mut self.conversation.stats;
        stats.messages_received =
            stats.messages_received.saturating_add(u64::from(event.completes_message()));
        self.conversation.inbox.push(event);
    }
}
