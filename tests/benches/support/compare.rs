//! Contests under criterion: each sample times ours and everything it is held against, one after the other
//! and as often, so that whatever else the machine does hits all of them. criterion sees the time of ours;
//! ratios are taken within a sample, and go to the report.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};

use super::report::{Report, Row};

/// How many samples there are, unless `--sample-size` says otherwise.
const SAMPLES: usize = 25;

/// What a contestant took for one sample.
pub trait Took {
    /// In all.
    fn time(&self) -> Duration;
}

impl Took for Duration {
    fn time(&self) -> Duration {
        *self
    }
}

/// Does its work so many times, and says what that took.
pub type Contestant<'a, T> = Box<dyn FnMut(u64) -> T + 'a>;

/// The contests of one bench.
pub struct Contests {
    criterion: Criterion,
    report: Report,
    /// Every contest so far was measured, none left out by a filter.
    whole: bool,
}

impl Contests {
    /// `measuring`: how long each contest is sampled, with everyone in it; `--measurement-time` goes first.
    pub fn new(bench: &'static str, measuring: Duration) -> Self {
        let criterion = Criterion::default()
            .sample_size(SAMPLES)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(measuring)
            // The interval of a mean is not what is looked at here: a few are enough.
            .nresamples(2000)
            .configure_from_args();
        Self { criterion, report: Report::new(bench), whole: true }
    }

    /// The contests that belong in one plot.
    pub fn group(&mut self, name: &str) -> Group<'_> {
        let mut group = self.criterion.benchmark_group(name);
        // Samples of equal length: a ratio of short ones would be worth less.
        group.sampling_mode(SamplingMode::Flat);
        Group { group, report: &mut self.report, whole: &mut self.whole }
    }

    /// Keeps the report, if it is whole: what a filter or a test run left out must not replace what is there.
    pub fn finish(self) {
        self.criterion.final_summary();
        if self.whole {
            self.report.save();
        } else {
            println!("Not everything was measured: the report of the last whole run stays.");
        }
    }
}

/// A group of contests.
pub struct Group<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    report: &'a mut Report,
    whole: &'a mut bool,
}

impl Group<'_> {
    /// Lets the contestants work on contents of `len` bytes: ours, which is the first, and the others, by
    /// turns. None: nothing was measured.
    pub fn run<T: Took>(
        &mut self,
        name: &str,
        len: usize,
        contestants: &mut [Contestant<'_, T>],
    ) -> Option<Samples<T>> {
        let mut samples = Vec::new();
        self.group.throughput(Throughput::Bytes(u64::try_from(len).expect("it fits")));
        self.group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let first = samples.len() % contestants.len();
                let mut sample: Vec<_> = contestants.iter().map(|_| None).collect();
                for at in (first..contestants.len()).chain(0..first) {
                    sample[at] = Some(contestants[at](times));
                }
                let sample: Vec<T> = sample.into_iter().flatten().collect();
                let ours = sample[0].time();
                samples.push(sample);
                ours
            });
        });
        // criterion warms up by the same calls: the samples are the last ones.
        let warming = samples.len().checked_sub(sample_size()).filter(|_| measures());
        *self.whole &= warming.is_some();
        samples.drain(..warming?);
        Some(Samples(samples))
    }

    /// Prints a finding and keeps it.
    pub fn add(&mut self, row: Row) {
        self.report.add(row);
    }
}

/// What each contestant took, sample by sample.
pub struct Samples<T>(Vec<Vec<T>>);

impl<T> Samples<T> {
    /// Some value of one contestant.
    pub fn values(&self, which: usize, value: impl Fn(&T) -> f64) -> Vec<f64> {
        self.0.iter().map(|sample| value(&sample[which])).collect()
    }

    /// Some value of the one by that of the other.
    pub fn ratios(&self, which: usize, by: usize, value: impl Fn(&T) -> f64) -> Vec<f64> {
        self.0.iter().map(|sample| value(&sample[which]) / value(&sample[by])).collect()
    }
}

/// Whether this run measures: cargo says `--bench` to those that shall, and criterion has flags for others.
fn measures() -> bool {
    let others = ["--test", "--list", "--profile-time"];
    let other = |arg: &String| others.iter().any(|flag| arg.starts_with(flag));
    std::env::args().any(|arg| arg == "--bench") && !std::env::args().any(|arg| other(&arg))
}

fn sample_size() -> usize {
    let args: Vec<String> = std::env::args().collect();
    let at = args.iter().position(|arg| arg.starts_with("--sample-size"));
    let value = at.and_then(|at| match args[at].split_once('=') {
        Some((_, value)) => Some(value),
        None => args.get(at + 1).map(String::as_str),
    });
    value.and_then(|value| value.parse().ok()).unwrap_or(SAMPLES)
}
