//! `sealed serve`: a server that opens requests and seals answers.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use heartwire_tokio::connection::Connection;
use heartwire_tokio::connection::sealed::Sealed;
use heartwire_tokio::{Address, ConnectionOptions};

use super::Packets;
use super::exec::Exec;
use super::group::Groups;
use crate::exit::Outcome;
use crate::serving::Listen;
use crate::{duration, runtime, serving, tls};

/// Serve sealed packets
///
/// Each request is answered with what was sealed in it or, with --exec, with what a command prints when it is fed
/// that. A packet that does not open, or is none, ends its connection without a byte of an answer; the log says why.
///
/// Prints `listening on ADDRESS` on stdout for every address, once connections are accepted. Logs go to stderr.
///
/// SIGTERM or SIGINT closes the connections, those with a request in hand when it is answered, waits for that at most
/// for the grace, and exits with 0; a second one exits at once with 1. Commands that still run are killed.
#[derive(Debug, clap::Args)]
#[command(mut_arg("timeout", |arg| arg
    .default_value("30s")
    .help("How long a peer may be silent, or take for the next 4 KiB of a packet, before its connection is closed")
    .long_help(
        "How long a peer may be silent, or take for the next 4 KiB of a packet, before its connection is closed\n\n\
         The time stands still while a request is being answered."
    )
))]
#[command(mut_arg("max_connections", |arg| arg
    .default_value("256")
    .help("The most connections at once; who comes then is closed without a word")
    .long_help(
        "The most connections at once; who comes then is closed without a word\n\n\
         One connection holds up to four times --limit, if its peer sends requests of that size and does not read \
         the answers: 64 MiB unless --limit is given. With --exec there is one command for each connection with a \
         request in hand."
    )
))]
pub struct Args {
    /// Where to listen: tcp://HOST:PORT, tls://HOST:PORT or unix://PATH; repeatable
    #[arg(long, value_name = "ADDR", default_value = "tcp://127.0.0.1:8888")]
    listen: Vec<Address>,

    #[command(flatten)]
    tls: tls::server::Args,

    #[command(flatten)]
    packets: Packets,

    #[command(flatten)]
    serving: serving::Args,

    /// How long a command may take for an answer before it is killed
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "30s")]
    exec_timeout: Duration,

    /// Answer with what this command prints; the last option: what follows it is the command and its arguments
    ///
    /// It is run anew for each request, which it is fed on stdin, and without a shell: arguments are passed as they
    /// are, also those that begin with `-`. Its stderr is the server's.
    ///
    /// There is no answer if it can't be started, ends with another exit status than 0, is killed, takes longer than
    /// --exec-timeout, or prints more than fits a packet (--limit): the connection is closed without a word, and the log
    /// says what happened. Whatever happens, what it started and left running in its process group is killed; an
    /// answer ends when nobody holds its output open. That a peer is gone shows only when it is answered.
    #[arg(long, value_names = ["CMD", "ARG"], num_args = 1.., allow_hyphen_values = true)]
    exec: Option<Vec<OsString>>,
}

pub fn run(args: Args) -> Outcome {
    let listen = Listen::on(args.listen, &args.tls)?;
    let time = serving::check_time("--exec-timeout", args.exec_timeout)?;
    let options = args.serving.connections::<Sealed>(args.packets.settings()?)?;
    let groups = Arc::new(Groups::default());
    let most = args.packets.longest();
    let exec = args.exec.map(|line| Exec::new(line, time, most, Arc::clone(&groups))).transpose()?;
    runtime::block_on(serve(listen, options, exec, groups))
}

async fn serve(
    listen: Listen,
    options: ConnectionOptions<Sealed>,
    exec: Option<Exec>,
    groups: Arc<Groups>,
) -> Outcome {
    let exec = exec.map(Arc::new);
    let attend = move |connection| Attendant { connection, exec: exec.clone() }.attend();
    // nobody is dropped when the program ends at once
    serving::serve_with(listen, options, attend, move || groups.kill_all()).await
}

/// One connection, and what it is served with.
struct Attendant {
    connection: Connection<Sealed>,
    exec: Option<Arc<Exec>>,
}

impl Attendant {
    async fn attend(mut self) {
        let peer = serving::peer(self.connection.endpoints().peer.as_ref()).to_string();
        tracing::info!("{peer}: connected");
        while let Some(request) = self.connection.recv().await {
            tracing::info!("{peer}: received {} bytes", request.len());
            if self.connection.is_closing() {
                // the server stops, and no answer would be taken
                break;
            }
            let Some(answer) = self.answer(request, &peer).await else { break };
            if self.connection.send(answer).await.is_err() {
                break;
            }
        }
        self.connection.start_close();
        // said before the peer has closed his side, too, which is waited for by itself
        let ended = self.connection.end().await;
        tracing::info!("{peer}: closed: {}", serving::ending(&ended));
    }

    /// The answer; none: there is none, which was logged.
    async fn answer(&self, request: Bytes, peer: &str) -> Option<Bytes> {
        let Some(exec) = &self.exec else { return Some(request) };
        tokio::select! {
            answer = exec.answer(request) => answer
                .inspect_err(|error| tracing::warn!("{peer}: no answer: {exec} {error}"))
                .ok(),
            _ = self.connection.closed() => {
                tracing::warn!("{peer}: no answer: {exec} was killed: the connection is gone");
                None
            }
        }
    }
}
