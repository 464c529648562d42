//! What the benches found, as they wrote it down, and what of it belongs in one plot.

use std::error::Error;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The findings of one bench.
pub struct Bench {
    pub name: String,
    pub plots: Vec<Plot>,
}

/// Findings of one group in one unit.
pub struct Plot {
    pub bench: String,
    pub group: String,
    pub unit: String,
    /// The group has findings in other units too.
    shares_group: bool,
    pub rows: Vec<Row>,
}

/// One finding.
#[derive(Clone, Deserialize)]
pub struct Row {
    group: String,
    pub name: String,
    pub against: String,
    pub value: f64,
    pub quartiles: [f64; 2],
    unit: String,
    pub target: Option<Target>,
}

/// What a value should reach.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    pub fn value(self) -> f64 {
        let (Self::AtMost(value) | Self::AtLeast(value)) = self;
        value
    }
}

impl Row {
    /// Whether it is as it should be, if anything should be.
    pub fn reached(&self) -> Option<bool> {
        self.target.map(|target| match target {
            Target::AtMost(most) => self.value <= most,
            Target::AtLeast(least) => self.value >= least,
        })
    }
}

impl Plot {
    /// Whether the values are ratios, where 1 says that both are alike.
    pub fn is_ratio(&self) -> bool {
        self.unit.starts_with("x ")
    }

    /// Whether less is better, as far as that can be told: by a target, or by the unit.
    pub fn less_is_better(&self) -> Option<bool> {
        if let Some(target) = self.rows.iter().find_map(|row| row.target) {
            return Some(matches!(target, Target::AtMost(_)));
        }
        let has = |words: &[&str]| words.iter().any(|word| self.unit.contains(word));
        if has(&["/s", "a second"]) { Some(false) } else { has(&["time", "memory"]).then_some(true) }
    }

    /// What everything in it is held against, if that is one and the same.
    pub fn against(&self) -> Option<&str> {
        let first = self.rows.first()?.against.as_str();
        self.rows.iter().all(|row| row.against == first).then_some(first)
    }

    /// What its file is called.
    pub fn file(&self) -> String {
        let unit = if self.shares_group { self.unit.as_str() } else { "" };
        let name = format!("{} {} {unit}", self.bench, self.group).to_lowercase();
        let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-") + ".svg"
    }
}

/// Where the benches left their findings, if they did: in the target folder that this program is in.
pub fn folder() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    program.ancestors().map(|folder| folder.join("heartwire-bench")).find(|folder| folder.is_dir())
}

/// Reads the findings of all benches in a folder.
pub fn read(folder: &Path) -> Result<Vec<Bench>, Box<dyn Error>> {
    let mut files = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .filter(|path| path.as_ref().is_ok_and(|path| path.extension().is_some_and(|end| end == "json")))
        .collect::<Result<Vec<_>, _>>()?;
    files.sort();
    files.iter().map(|path| parse(&std::fs::read_to_string(path)?)).collect()
}

fn parse(text: &str) -> Result<Bench, Box<dyn Error>> {
    #[derive(Deserialize)]
    struct Report {
        bench: String,
        rows: Vec<Row>,
    }

    let report: Report = serde_json::from_str(text)?;
    let mut plots: Vec<Plot> = Vec::new();
    for row in report.rows {
        let plot = plots.iter_mut().find(|plot| plot.group == row.group && plot.unit == row.unit);
        match plot {
            Some(plot) => plot.rows.push(row),
            None => plots.push(Plot {
                bench: report.bench.clone(),
                group: row.group.clone(),
                unit: row.unit.clone(),
                shares_group: false,
                rows: vec![row],
            }),
        }
    }
    let groups: Vec<String> = plots.iter().map(|plot| plot.group.clone()).collect();
    for plot in &mut plots {
        plot.shares_group = groups.iter().filter(|group| **group == plot.group).count() > 1;
    }
    Ok(Bench { name: report.bench, plots })
}
