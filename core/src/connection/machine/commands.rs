//! What the application asks for: what is accepted, and what is refused why.

use alloc::string::String;

use super::{Connection, State};
use crate::closing::Ending;
use crate::connection::command::{Command, CommandOf};
use crate::ended::EndedBy;
use crate::error::{Code, Error};
use crate::protocol::{Refused, Ticket, Why};
use crate::time::Instant;
use crate::wire::codec::Codec;

impl<C: Codec> Connection<C> {
    /// Whether [`Command::Send`] would be accepted now with this message.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn can_send(&self, message: &C::Message) -> Result<(), Why> {
        self.check_new(self.codec.check(message))
    }

    /// Whether [`Command::Begin`] would be accepted now with this head.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn can_begin(&self, head: &C::Head) -> Result<(), Why> {
        self.check_new(self.codec.check_head(head))
    }

    /// Whether a message can be queued that the codec says this of.
    fn check_new(&self, checked: Result<(), Code>) -> Result<(), Why> {
        self.check_open()?;
        checked.map_err(Why::Never)?;
        if self.is_full() || self.outbox.is_open() { Err(Why::Full) } else { Ok(()) }
    }

    pub(super) fn is_full(&self) -> bool {
        self.outbox.queued() >= self.config.queued_output()
    }

    fn check_open(&self) -> Result<(), Why> {
        if self.is_closing() { Err(Why::Closed) } else { Ok(()) }
    }

    pub(super) fn command(
        &mut self,
        now: Instant,
        command: CommandOf<C>,
    ) -> Result<Ticket, Refused<CommandOf<C>>> {
        if let Err(why) = self.check_command(&command) {
            return Err(Refused { command, why });
        }
        Ok(match command {
            Command::Send(message) => self.outbox.push(message),
            Command::Begin(head) => self.outbox.begin(head),
            Command::Piece { ticket, content } => {
                self.outbox.piece(content);
                ticket
            }
            Command::End { ticket } => {
                self.outbox.end();
                ticket
            }
            Command::Abort { ticket } => {
                let detail = "a message was given up whose length was announced";
                self.refuse(now, &Error::new(Code::Aborted, detail));
                ticket
            }
            Command::Finish => {
                self.outbox.give_up_open();
                self.finished_first = !self.peer_finished;
                self.state = State::Finishing;
                Ticket::NONE
            }
            Command::Close => {
                self.close(now);
                Ticket::NONE
            }
            Command::Stop => {
                self.stopping = true;
                Ticket::NONE
            }
            Command::Fail { code, detail } => {
                self.fail(code, detail);
                Ticket::NONE
            }
        })
    }

    fn check_command(&self, command: &CommandOf<C>) -> Result<(), Why> {
        match command {
            Command::Send(message) => self.can_send(message),
            Command::Begin(head) => self.can_begin(head),
            Command::Piece { ticket, content } => {
                self.check_open()?;
                self.outbox.check_piece(*ticket, content.len()).map_err(Why::Never)?;
                if self.is_full() { Err(Why::Full) } else { Ok(()) }
            }
            Command::End { ticket } => {
                self.check_open()?;
                self.outbox.check_end(*ticket).map_err(Why::Never)
            }
            Command::Abort { ticket } => {
                self.check_open()?;
                self.outbox.check_piece(*ticket, 0).map_err(Why::Never)
            }
            Command::Finish => self.check_open(),
            Command::Close | Command::Stop | Command::Fail { .. } => {
                if self.state.is_closing() || self.write_dead { Err(Why::Closed) } else { Ok(()) }
            }
        }
    }

    fn fail(&mut self, code: Code, detail: String) {
        self.end(Ending::new(EndedBy::Local, code, detail), false);
    }
}
