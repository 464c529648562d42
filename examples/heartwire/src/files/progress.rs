//! What is shown, on a terminal, of transfers that are under way: a bar for each, and one for all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use heartwire_core::escape::escape;
use indicatif::{
    HumanBytes, HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};

use crate::log;

/// How often bars are drawn; and what is over sooner has none.
const TICK: Duration = Duration::from_millis(100);
/// The most bars of transfers at once.
const BARS: usize = 10;
/// How much of a name is kept for its bar, in characters; the terminal's width cuts it again.
const NAME: usize = 200;
/// What a bar says: the name gets what is left of the width.
const STYLE: &str = "{wide_msg} [{bar:12}] {bytes:>10}/{total_bytes:<10} {rate:>12} {left:>9}";

/// What all transfers together come to, where that is known from the beginning.
#[derive(Clone, Copy, Debug)]
pub struct Total {
    pub files: u64,
    pub bytes: u64,
}

/// Shows transfers until it is dropped. Without a terminal on stderr it shows nothing.
pub struct Progress {
    transfers: Transfers,
    /// Who draws, and how it is told to stop.
    drawing: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

/// Where transfers are announced. To draw is another's business: announcing costs next to nothing.
#[derive(Clone)]
pub struct Transfers(Option<Arc<Running>>);

/// A transfer, under way until it is dropped.
pub struct Transfer(Option<(Arc<Running>, u64, Arc<State>)>);

/// All transfers that are under way.
#[derive(Default)]
struct Running {
    transfers: Mutex<BTreeMap<u64, Arc<State>>>,
    /// How many there have been.
    begun: AtomicU64,
    /// Files that are done, and bytes of all.
    files: AtomicU64,
    bytes: AtomicU64,
}

struct State {
    name: String,
    size: u64,
    began: Instant,
    done: AtomicU64,
}

impl Progress {
    /// Shows what is announced; below it the total, if it is known.
    pub fn start(total: Option<Total>) -> Self {
        let target = ProgressDrawTarget::stderr();
        // it is on no terminal, or one that can't move its cursor
        if target.is_hidden() {
            return Self { transfers: Transfers(None), drawing: Mutex::default() };
        }
        let running = Arc::new(Running::default());
        let (stop, stopped) = channel();
        let drawn = Arc::clone(&running);
        let mut bars = Bars::new(target, total);
        log::show_above(Some(&bars.all));
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                log::draw(|| bars.draw(&drawn, Instant::now()));
            }
            log::draw(|| bars.clear());
            log::show_above(None);
        });
        Self { transfers: Transfers(Some(running)), drawing: Mutex::new(Some((stop, thread))) }
    }

    /// Where transfers are announced.
    pub fn transfers(&self) -> Transfers {
        self.transfers.clone()
    }

    /// Shows nothing from here on, and leaves nothing on the terminal.
    pub fn clear(&self) {
        let drawing = self.drawing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = drawing {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Transfers {
    /// A file begins, of so many bytes. Its name need not be escaped.
    pub fn begin(&self, name: &str, size: u64) -> Transfer {
        let Some(running) = &self.0 else { return Transfer(None) };
        let name = escape(name).limit(NAME).to_string();
        let state = Arc::new(State { name, size, began: Instant::now(), done: AtomicU64::new(0) });
        let number = running.begun.fetch_add(1, Ordering::Relaxed);
        running.lock().insert(number, Arc::clone(&state));
        Transfer(Some((Arc::clone(running), number, state)))
    }

    /// A file is done.
    pub fn file_done(&self) {
        if let Some(running) = &self.0 {
            running.files.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Transfer {
    /// So many of its bytes are there.
    pub fn at(&self, done: u64) {
        let Some((running, _, state)) = &self.0 else { return };
        let before = state.done.swap(done, Ordering::Relaxed);
        running.bytes.fetch_add(done.saturating_sub(before), Ordering::Relaxed);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some((running, number, _)) = &self.0 {
            running.lock().remove(number);
        }
    }
}

impl Running {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<State>>> {
        self.transfers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is on the terminal.
struct Bars {
    all: MultiProgress,
    shown: BTreeMap<u64, ProgressBar>,
    /// How many have no bar.
    more: Option<ProgressBar>,
    total: Option<(Total, ProgressBar)>,
    style: ProgressStyle,
}

impl Bars {
    fn new(target: ProgressDrawTarget, total: Option<Total>) -> Self {
        let style = style(STYLE).progress_chars("=> ").with_key("rate", rate).with_key("left", left);
        let all = MultiProgress::with_draw_target(target);
        let total = total.map(|total| {
            let bar = all.add(ProgressBar::new(total.bytes).with_style(style.clone()));
            (total, bar)
        });
        Self { all, shown: BTreeMap::new(), more: None, total, style }
    }

    fn draw(&mut self, running: &Running, now: Instant) {
        let mut old: BTreeMap<u64, Arc<State>> = running.lock().clone();
        old.retain(|_, state| now.saturating_duration_since(state.began) >= TICK);
        let Self { all, shown, style, .. } = self;
        shown.retain(|number, bar| {
            let stays = old.contains_key(number);
            if !stays {
                bar.finish_and_clear();
                all.remove(bar);
            }
            stays
        });
        for (number, state) in &old {
            if shown.len() < BARS && !shown.contains_key(number) {
                // behind those that began before it, in front of what is said of all
                let bar =
                    all.insert(shown.len(), ProgressBar::new(state.size).with_elapsed(now - state.began));
                bar.set_style(style.clone());
                bar.set_message(state.name.clone());
                shown.insert(*number, bar);
            }
            if let Some(bar) = shown.get(number) {
                bar.set_position(state.done.load(Ordering::Relaxed));
            }
        }
        self.draw_more(old.len() - self.shown.len());
        if let Some((total, bar)) = &self.total {
            let files = running.files.load(Ordering::Relaxed);
            let message = format!("{files} of {} files", total.files);
            // each of the two draws
            if bar.message() != message {
                bar.set_message(message);
            }
            bar.set_position(running.bytes.load(Ordering::Relaxed));
        }
    }

    fn draw_more(&mut self, more: usize) {
        if more == 0 {
            if let Some(line) = self.more.take() {
                line.finish_and_clear();
                self.all.remove(&line);
            }
            return;
        }
        let line = self.more.get_or_insert_with(|| {
            let line = self.all.insert(self.shown.len(), ProgressBar::no_length());
            line.with_style(style("{msg}"))
        });
        let message = format!("and {more} more");
        if line.message() != message {
            line.set_message(message);
        }
    }

    fn clear(&self) {
        let total = self.total.iter().map(|(_, bar)| bar);
        self.shown.values().chain(&self.more).chain(total).for_each(ProgressBar::finish_and_clear);
        let _ = self.all.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Bytes a second, as soon as that is known.
fn rate(state: &ProgressState, out: &mut dyn fmt::Write) {
    let rate = state.per_sec();
    let _ = match rate >= 1.0 {
        true => write!(out, "{}/s", HumanBytes(rate as u64)),
        false => Ok(()),
    };
}

/// How long it will take, as soon as there is a rate.
fn left(state: &ProgressState, out: &mut dyn fmt::Write) {
    let _ = match state.per_sec() >= 1.0 {
        true => write!(out, "{:#} left", HumanDuration(state.eta())),
        false => Ok(()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(total: Option<Total>) -> (Bars, Transfers, Arc<Running>) {
        let running = Arc::new(Running::default());
        (Bars::new(ProgressDrawTarget::hidden(), total), Transfers(Some(Arc::clone(&running))), running)
    }

    fn names(bars: &Bars) -> Vec<String> {
        bars.shown.values().map(ProgressBar::message).collect()
    }

    #[test]
    fn what_is_over_at_once_has_no_bar() {
        let (mut bars, transfers, running) = hidden(None);
        let begun = Instant::now();
        let transfer = transfers.begin("a\u{1b}[2J", 10);
        bars.draw(&running, begun);
        assert!(bars.shown.is_empty());
        transfer.at(4);
        let later = Instant::now() + TICK;
        bars.draw(&running, later);
        assert_eq!(names(&bars), [r"a\u{1b}[2J"]);
        assert_eq!(bars.shown[&0].position(), 4);
        drop(transfer);
        bars.draw(&running, later);
        assert!(bars.shown.is_empty());
    }

    #[test]
    fn of_many_the_first_have_bars_and_the_others_a_line() {
        let (mut bars, transfers, running) = hidden(None);
        let mut begun: Vec<_> = (0..BARS + 3).map(|number| transfers.begin(&number.to_string(), 1)).collect();
        let later = Instant::now() + TICK;
        bars.draw(&running, later);
        assert_eq!((bars.shown.len(), bars.more.as_ref().unwrap().message().as_str()), (BARS, "and 3 more"));
        assert_eq!(names(&bars)[0], "0");
        // who waits longest is next
        begun.remove(0);
        bars.draw(&running, later);
        assert_eq!((bars.shown.len(), bars.more.as_ref().unwrap().message().as_str()), (BARS, "and 2 more"));
        assert_eq!((&*names(&bars)[0], &*names(&bars)[BARS - 1]), ("1", "10"));
        begun.truncate(2);
        bars.draw(&running, later);
        assert_eq!(names(&bars), ["1", "2"]);
        assert!(bars.more.is_none());
    }

    #[test]
    fn the_total_counts_all_of_them() {
        let (mut bars, transfers, running) = hidden(Some(Total { files: 3, bytes: 30 }));
        let first = transfers.begin("a", 10);
        first.at(6);
        first.at(10);
        drop(first);
        transfers.file_done();
        let second = transfers.begin("b", 20);
        second.at(5);
        bars.draw(&running, Instant::now());
        let (_, total) = bars.total.as_ref().unwrap();
        assert_eq!((total.message().as_str(), total.position()), ("1 of 3 files", 15));
    }
}
