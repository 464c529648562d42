//! Logs, and what else is to be said, on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{MultiProgress, ProgressBar};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Log more; the environment variable RUST_LOG goes before it
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// Writes logs from here on: `usual` and above, DEBUG with `-v`, what `RUST_LOG` says if it is set.
pub fn start(args: &Args, usual: LevelFilter) {
    let level = if args.verbose { LevelFilter::DEBUG } else { usual };
    // an empty or wrong RUST_LOG is as good as none: logs are no reason not to run
    let filter = std::env::var("RUST_LOG")
        .ok()
        .filter(|filter| !filter.trim().is_empty())
        .and_then(|filter| EnvFilter::try_new(filter).ok())
        .unwrap_or_else(|| EnvFilter::default().add_directive(level.into()));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()))
        .with_writer(|| Stderr)
        // where a line can't be written, no other about it can: trying that would panic
        .log_internal_errors(false)
        .init();
}

/// Says this on stderr, whatever is logged. What a peer chose must be escaped already.
pub fn say(what: impl Display) {
    let line = format!("heartwire: {what}\n");
    // stderr may be closed, which is no reason to panic
    let _ = Stderr.write_all(line.as_bytes());
}

/// The first of these characters, at most so many; `…` stands for the rest.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into(),
    }
}

/// So many of these: `1 file`, `2 files`.
pub fn count(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

/// Bars at the bottom of the terminal, while there are any. Who holds it is alone there.
static BARS: Mutex<Option<Bars>> = Mutex::new(None);

struct Bars {
    all: MultiProgress,
    /// Draws them all, and is not seen itself.
    drawing: ProgressBar,
}

fn bars() -> MutexGuard<'static, Option<Bars>> {
    BARS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From here on everything is said above these bars; without any, where the cursor is.
pub fn show_above(shown: Option<&MultiProgress>) {
    *bars() = shown.map(|all| {
        let drawing = all.add(ProgressBar::new(0));
        drawing.finish_and_clear();
        Bars { all: all.clone(), drawing }
    });
}

/// Draws bars while nobody says anything.
pub fn draw(draw: impl FnOnce()) {
    let _alone = bars();
    draw();
}

/// Writes to the terminal, above the bars.
pub fn above_bars<T>(write: impl FnOnce() -> T) -> T {
    let bars = bars();
    // not by `suspend`, which panics when the terminal is gone; then writing fails, too
    if let Some(bars) = &*bars {
        let _ = bars.all.clear();
    }
    let written = write();
    if let Some(bars) = &*bars {
        bars.drawing.force_draw();
    }
    written
}

/// stderr, above the bars. Lines are given to it as a whole.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        above_bars(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
