//! What a bench found: printed as it is found, and kept for the page of plots.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// The findings of one bench.
#[derive(Serialize)]
pub struct Report {
    bench: &'static str,
    rows: Vec<Row>,
}

/// One finding.
#[derive(Clone, Serialize)]
pub struct Row {
    /// What belongs in one plot, such as `encode`.
    pub group: String,
    /// Which of the group, such as `64 B`.
    pub name: String,
    /// What it is held against, such as `floor`; empty: nothing.
    pub against: String,
    /// What was found: the median, where there were several samples.
    pub value: f64,
    /// The quartiles; both the value where there was one sample.
    pub quartiles: [f64; 2],
    /// What it is counted in, such as `x its time`, `x its messages/s`, `KiB`.
    pub unit: &'static str,
    /// What it should reach, if there is something to reach.
    pub target: Option<Target>,
}

/// What a value should reach.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Report {
    pub fn new(bench: &'static str) -> Self {
        Self { bench, rows: Vec::new() }
    }

    /// Prints a finding and keeps it.
    pub fn add(&mut self, row: Row) {
        println!("{row}");
        self.rows.push(row);
    }

    /// Keeps everything in `target/heartwire-bench/BENCH.json`, in place of what was there.
    pub fn save(self) {
        let folder = folder();
        let path = folder.join(self.bench).with_extension("json");
        let text = serde_json::to_string_pretty(&self).expect("it is plain data");
        let saved = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, text));
        if let Err(error) = saved {
            eprintln!("the findings could not be kept in {}: {error}", path.display());
        }
    }
}

/// Where findings are kept: in cargo's target folder, beside its folder for what tests write.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("heartwire-bench")
}

impl Row {
    /// The median and the quartiles of samples.
    pub fn of_samples(
        (group, name, against): (&str, &str, &str),
        unit: &'static str,
        mut samples: Vec<f64>,
    ) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |quarters: usize| samples[(samples.len() - 1) * quarters / 4];
        Self {
            group: group.into(),
            name: name.into(),
            against: against.into(),
            value: at(2),
            quartiles: [at(1), at(3)],
            unit,
            target: None,
        }
    }

    /// A value that was found once.
    pub fn of_one(names: (&str, &str, &str), unit: &'static str, value: f64) -> Self {
        Self::of_samples(names, unit, vec![value])
    }

    /// The same, and what it should reach.
    pub fn target(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, name, against, value, quartiles: [low, high], unit, target } = self;
        write!(f, "{group} {name}: {value:.2} {unit}")?;
        if !against.is_empty() {
            write!(f, " of {against}")?;
        }
        if low < high {
            write!(f, " ({low:.2} to {high:.2})")?;
        }
        match target {
            Some(Target::AtMost(most)) if value <= most => write!(f, ", at most {most}: reached"),
            Some(Target::AtMost(most)) => write!(f, ", at most {most}: MISSED"),
            Some(Target::AtLeast(least)) if value >= least => write!(f, ", at least {least}: reached"),
            Some(Target::AtLeast(least)) => write!(f, ", at least {least}: MISSED"),
            None => Ok(()),
        }
    }
}
