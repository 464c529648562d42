//! What the application asks for: what is accepted, and what is refused why.

use alloc::string::String;
use bytes::Bytes;

use super::{HEADER_REST, Session};
use crate::closing::Ending;
use crate::config::MAX_WIRE_INTEGER;
use crate::ended::EndedBy;
use crate::error::Code;
use crate::message::{App, ContentType, Message};
use crate::protocol::{Refused, Ticket, Why};
use crate::session::Role;
use crate::session::command::{Begin, Command};
use crate::session::outbox::{Outbox, Terms};
use crate::session::state::State;
use crate::time::Instant;
use crate::wire::envelope::{Chunk, FrameLimits, Header, Kind, Protection, header_len};

impl<P: Protection> Session<P> {
    pub(super) fn send(&mut self, message: Message) -> Result<Ticket, Refused<Command>> {
        let large = match self.check_send(&message) {
            Ok(large) => large,
            Err(why) => return Err(Refused { command: Command::Send(message), why }),
        };
        let content = message.content.len();
        let ticket = self.conversation.outbox.push(message);
        if large && self.is_full() {
            self.conversation.outbox.set_excess(ticket, content);
        }
        Ok(ticket)
    }

    /// Whether this message can be accepted now, and if so, whether it goes out in chunks.
    pub(super) fn check_send(&self, message: &Message) -> Result<bool, Why> {
        let terms = self.terms()?;
        let large = self.check_sendable(message, terms)?;
        let full = if large { self.is_full() } else { self.is_full_beside_excess() };
        if full || !self.conversation.outbox.has_room_for(message, terms) {
            return Err(Why::Full);
        }
        Ok(large)
    }

    /// The terms to stream by, if such a message can be begun now.
    pub(super) fn check_begin(&self, begin: &Begin) -> Result<&Terms, Why> {
        let terms = self.terms()?;
        self.check_header(&begin.content_type, &begin.app, true)?;
        if !terms.chunk {
            return Err(Why::Never(Code::FeatureMissing));
        }
        if begin.total_size.is_some_and(|total| total > terms.message) {
            return Err(Why::Never(Code::MessageTooLarge));
        }
        if self.is_full_beside_excess() || !self.conversation.outbox.has_room_to_begin(begin, terms) {
            return Err(Why::Full);
        }
        Ok(terms)
    }

    /// Whether the peer can ever take this message, and if so, whether in chunks.
    fn check_sendable(&self, message: &Message, terms: &Terms) -> Result<bool, Why> {
        let large = Outbox::is_large(message, terms);
        self.check_header(&message.content_type, &message.app, large)?;
        let size = message.content.len() as u64;
        if size > terms.message {
            return Err(Why::Never(Code::MessageTooLarge));
        }
        if !terms.chunk && size == 0 {
            return Err(Why::Never(Code::EmptyContent));
        }
        Ok(large)
    }

    pub(super) fn begin(&mut self, begin: Begin) -> Result<Ticket, Refused<Command>> {
        match self.check_begin(&begin).copied() {
            Ok(terms) => Ok(self.conversation.outbox.begin(begin, &terms)),
            Err(why) => Err(Refused { command: Command::Begin(begin), why }),
        }
    }

    pub(super) fn piece(&mut self, ticket: Ticket, content: Bytes) -> Result<Ticket, Refused<Command>> {
        let refused = |content, why| Err(Refused { command: Command::Piece { ticket, content }, why });
        let terms = match self.terms() {
            Ok(terms) => *terms,
            Err(why) => return refused(content, why),
        };
        if self.is_full() && !self.conversation.outbox.is_drained(ticket) {
            return refused(content, Why::Full);
        }
        match self.conversation.outbox.piece(ticket, content, &terms) {
            Ok(()) => Ok(ticket),
            Err((why, content)) => refused(content, why),
        }
    }

    pub(super) fn close(&mut self, now: Instant, reason: Option<String>) -> Result<Ticket, Refused<Command>> {
        let reason = reason.unwrap_or_else(|| match self.role {
            Role::Client => "Client disconnecting".into(),
            Role::Server => "Server disconnecting".into(),
        });
        match self.connection.state {
            State::Established if !self.connection.write_dead => self.finish(now, reason),
            State::AwaitAck if self.connection.close_reason.is_none() => {
                // Nothing may follow the init before the answer: the goodbye waits for it.
                self.connection.close_reason = Some(reason);
                self.connection.closing.extend_flush(now);
            }
            State::AwaitInit => {
                // There is no session to say goodbye to.
                self.end(Ending::new(EndedBy::Local, Code::Disconnected, reason), false);
            }
            _ => return Err(Refused { command: Command::Close { reason: Some(reason) }, why: Why::Closed }),
        }
        Ok(Ticket::NONE)
    }

    pub(super) fn terms(&self) -> Result<&Terms, Why> {
        match (self.connection.state, &self.conversation.terms) {
            (State::Established, Some(terms)) if !self.connection.write_dead => Ok(terms),
            (state, _) if state.is_handshake() && self.connection.close_reason.is_none() => Err(Why::Full),
            _ => Err(Why::Closed),
        }
    }

    /// Whether the headers of a message fit the protocol. Text takes more on the wire than in memory
    /// where it is escaped.
    fn check_header(&self, content_type: &ContentType, app: &App, chunks: bool) -> Result<(), Why> {
        let short = content_type.len().saturating_mul(6).saturating_add(app.as_json().map_or(0, str::len));
        if short.saturating_add(HEADER_REST) <= FrameLimits::PROTOCOL.header {
            return Ok(());
        }
        let (app, session_id) = (app.clone(), self.conversation.session_id.clone());
        let kind = if chunks {
            // As large as the first chunk's header can be.
            let (message_id, index) = (MAX_WIRE_INTEGER, MAX_WIRE_INTEGER);
            let total_size = Some(MAX_WIRE_INTEGER);
            Kind::Chunk(Chunk { message_id, index, last: true, aborted: true, total_size, app })
        } else {
            Kind::Message { app }
        };
        if header_len(&Header { kind, content_type: content_type.clone(), session_id })
            > FrameLimits::PROTOCOL.header
        {
            return Err(Why::Never(Code::HeaderTooLarge));
        }
        Ok(())
    }

    /// A command about a message that is open.
    pub(super) fn about(
        &mut self,
        ticket: Ticket,
        command: Command,
        act: fn(&mut Outbox, Ticket) -> Result<(), Code>,
    ) -> Result<Ticket, Refused<Command>> {
        let done = self
            .terms()
            .map(drop)
            .and_then(|()| act(&mut self.conversation.outbox, ticket).map_err(Why::Never));
        done.map(|()| ticket).map_err(|why| Refused { command, why })
    }

    pub(super) fn is_full(&self) -> bool {
        self.queued_output() >= self.config.queued_output()
    }

    /// Whether the queue is full even if the large message that passed its limit is not counted.
    pub(super) fn is_full_beside_excess(&self) -> bool {
        let queued = self.conversation.outbox.queued_beside_excess();
        queued.saturating_add(self.connection.link.pending()) >= self.config.queued_output()
    }
}
