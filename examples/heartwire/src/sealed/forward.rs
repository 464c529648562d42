//! `sealed forward`: a client that sends one request and prints the answer.

use std::io::{self, IsTerminal, Read, Write};
use std::time::Duration;

use bytes::Bytes;
use heartwire_core::escape::escape_bytes;
use heartwire_tokio::connection::sealed::{Sealed, Settings};
use heartwire_tokio::connection::{Config, Connection, Ended};
use heartwire_tokio::{Address, Code, ConnectionOptions};
use tokio::sync::oneshot;

use super::Packets;
use crate::connecting::Connector;
use crate::endings::{Expected, no_link, says_what_to_do};
use crate::exit::{Failure, Outcome};
use crate::log::say;
use crate::stop::Stop;
use crate::{duration, runtime, serving, tls};

/// What is to listen at the address.
const SERVER: Expected = Expected { link: "connection", server: "heartwire sealed serve" };

/// How long the server's end of the stream is awaited once it has answered.
const GOODBYE: Duration = Duration::from_millis(500);

/// Send stdin to a server of sealed packets, and print its answer
///
/// Reads stdin to its end, seals it, sends it as one packet, and writes what was sealed in the answer to stdout as it
/// is; where people read it, on a terminal, with control characters escaped.
///
/// Exit code 0: answered; 1: no answer, and stderr says why. SIGTERM or SIGINT waits for the answer at most for the
/// grace, and exits with 0; stderr says what is missing. A second one exits at once with 1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the server is: tcp://HOST:PORT, tls://HOST:PORT or unix://PATH
    #[arg(value_name = "ADDR")]
    address: Address,

    #[command(flatten)]
    tls: tls::client::Args,

    #[command(flatten)]
    packets: Packets,

    /// How long making the connection may take, and then how long nothing may move, or the next 4 KiB of an answer take
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "30s")]
    timeout: Duration,

    /// How long a stop by a signal may take before what is left is cut
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "3s")]
    grace: Duration,
}

pub fn run(args: Args) -> Outcome {
    let timeout = serving::check_time("--timeout", args.timeout)?;
    let options = options(args.packets.settings()?, timeout)?;
    let connector = Connector::new(&args.address, &args.tls)?;
    runtime::block_on(forward(args, connector, options))
}

fn options(settings: Settings, timeout: Duration) -> Outcome<ConnectionOptions<Sealed>> {
    let config = Config::builder()
        .idle_timeout(Some(timeout))
        .progress_timeout(Some(timeout))
        .drain_timeout(GOODBYE)
        .build()
        .map_err(Failure::usage)?;
    Ok(ConnectionOptions::new(settings).config(config).connect_timeout(timeout))
}

async fn forward(args: Args, connector: Connector, options: ConnectionOptions<Sealed>) -> Outcome {
    let mut stop = Stop::within(args.grace)?;
    let making = async {
        let request = request(args.packets.longest()).await?;
        let connection = connector.connect(&options).await;
        Ok((request, connection.map_err(|error| no_link(SERVER, &args.address, &error))?))
    };
    let (request, mut connection) = tokio::select! {
        made = making => made?,
        () = stop.asked() => {
            say("stopped by a signal: nothing was sent");
            return Ok(());
        }
    };
    let Some(answer) = stop.at_most(ask(&args, &mut connection, request)).await? else {
        say("stopped by a signal: no answer came");
        return Ok(());
    };
    let answer = answer?;
    // the server need not wait for whoever reads stdout
    connection.start_close();
    let Some(printed) = stop.at_most(print(answer)).await? else {
        say("stopped by a signal: the answer was not printed whole");
        return Ok(());
    };
    printed.map_err(|error| Failure::stdout(&error))?;
    stop.at_most(connection.close()).await?;
    Ok(())
}

/// Stdin as a whole.
async fn request(most: usize) -> Outcome<Bytes> {
    let failed = |error| Failure::failed(format_args!("stdin: can't read it: {error}; check what feeds it"));
    let read = in_thread(move || {
        let mut request = Vec::new();
        io::stdin().lock().take((most as u64).saturating_add(1)).read_to_end(&mut request)?;
        Ok(request)
    });
    let request = read.await.map_err(failed)?;
    if request.len() > most {
        return Err(Failure::failed(format_args!(
            "stdin: more than {most} bytes do not fit a packet; send less, or give both sides a larger --limit"
        )));
    }
    Ok(request.into())
}

/// Sends the request, and waits for the answer.
async fn ask(args: &Args, connection: &mut Connection<Sealed>, request: Bytes) -> Outcome<Bytes> {
    // refused, the connection is over, which receiving will tell
    let _ = connection.send(request).await;
    let answer = connection.recv().await;
    answer.ok_or_else(|| no_answer(args, connection.ended().map(AsRef::as_ref)))
}

/// There is no answer: what happened, and what to do. `ended` is none if the server closed the connection in order.
fn no_answer(args: &Args, ended: Option<&Ended<Bytes>>) -> Failure {
    let Args { address, timeout, .. } = args;
    let Some(ended) = ended else {
        return Failure::failed(format_args!(
            "{address} closed the connection without an answer; it may have another key, have refused the request or be busy: its log says more"
        ));
    };
    let Ended { code, detail, .. } = ended;
    Failure::failed(match code {
        Code::DecryptionFailed => {
            format!(
                "the answer of {address} does not open; it has another key: give the server's with --key-file"
            )
        }
        Code::UnsupportedVersion | Code::BadNonceLength | Code::CiphertextTooShort => format!(
            "the answer of {address} is no sealed packet ({code}: {detail}); what listens there may speak another protocol: check the address"
        ),
        Code::CiphertextTooLarge => format!(
            "the answer of {address} is too large, or no sealed packet ({code}: {detail}); give a larger --limit, or check the address"
        ),
        Code::Truncated => format!(
            "the answer of {address} is cut ({detail}); the server, or the way to it, is gone: try again when it is back"
        ),
        Code::PeerSilent => format!(
            "no answer from {address}: nothing moved for {}; give a longer --timeout, or check that it serves sealed packets",
            duration::show(*timeout)
        ),
        Code::FrameStalled => format!(
            "the answer of {address} came too slowly: less than 4 KiB in {}; give a longer --timeout, or check the network",
            duration::show(*timeout)
        ),
        Code::TransportFailed if says_what_to_do(ended) => format!("no answer from {address}: {detail}"),
        Code::TransportFailed => format!(
            "the connection to {address} broke before it answered: {detail}; it may have refused the request, and its log says more, or be gone"
        ),
        _ => format!("no answer from {address}: {code}: {detail}; try again"),
    })
}

/// Writes the answer to stdout: exact for programs, escaped for people.
async fn print(answer: Bytes) -> io::Result<()> {
    in_thread(move || {
        let mut out = io::stdout().lock();
        if out.is_terminal() {
            for line in answer.split_inclusive(|byte| *byte == b'\n') {
                match line.strip_suffix(b"\n") {
                    Some(line) => writeln!(out, "{}", escape_bytes(line))?,
                    None => write!(out, "{}", escape_bytes(line))?,
                }
            }
        } else {
            out.write_all(&answer)?;
        }
        out.flush()
    })
    .await
}

/// Reading and writing may block for ever: a thread of its own, which the end of the program does not wait for.
async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (tell, done) = oneshot::channel();
    std::thread::spawn(move || tell.send(work()));
    done.await.unwrap_or_else(|_| Err(io::Error::other("its thread is gone")))
}
