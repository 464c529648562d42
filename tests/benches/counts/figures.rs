//! The figures of `tests/counts.json`, and what is said where they do not hold.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// How far a path may be from its figure, in percent.
const TOLERANCE: f64 = 5.0;

const UPDATE: &str = "cargo bench -p heartwire-tests --bench counts -- --update";

/// Instructions for each path, and what they were taken with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Figures {
    /// The compiler.
    rustc: String,
    /// The processor's architecture.
    architecture: String,
    /// Instructions that an operation takes, for each path.
    pub instructions: BTreeMap<String, u64>,
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("counts.json")
}

impl Figures {
    /// None yet.
    pub fn of_this_machine() -> Self {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let version = Command::new(rustc).arg("--version").output().map(|output| output.stdout);
        Self {
            rustc: String::from_utf8_lossy(&version.unwrap_or_default()).trim().into(),
            architecture: std::env::consts::ARCH.into(),
            instructions: BTreeMap::new(),
        }
    }

    /// The committed ones.
    pub fn load() -> Self {
        let text = std::fs::read_to_string(file()).expect("tests/counts.json is there");
        serde_json::from_str(&text).expect("tests/counts.json holds figures")
    }

    /// Writes them, to be committed.
    pub fn save(&self) {
        let text = serde_json::to_string_pretty(self).expect("figures are JSON");
        std::fs::write(file(), text + "\n").expect("tests/counts.json can be written");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {}", self.rustc, self.architecture)?;
        self.instructions.iter().try_for_each(|(path, count)| writeln!(f, "{path:16} {count:>9}"))
    }
}

/// Says how what was measured differs from the committed figures, and whether it may.
pub fn compare(committed: &Figures, measured: &Figures) -> bool {
    let mut good = true;
    let mut gained = false;
    println!("{:16} {:>9} {:>9}", "instructions", "committed", "measured");
    for (path, &count) in &measured.instructions {
        let Some(&figure) = committed.instructions.get(path) else {
            println!("{path:16} {:>9} {count:>9}  has no figure", "-");
            good = false;
            continue;
        };
        let percent = (count as f64 / figure as f64 - 1.0) * 100.0;
        let verdict = if percent > TOLERANCE {
            good = false;
            "  TOO MANY"
        } else if percent < -TOLERANCE {
            gained = true;
            "  a gain"
        } else {
            ""
        };
        println!("{path:16} {figure:>9} {count:>9} {percent:+7.1} %{verdict}");
    }
    if !good {
        println!(
            "\nMore than {TOLERANCE} % above the committed figure, or none. Find what costs it: --path NAME"
        );
        println!(
            "does one path alone, for a profiler. If it is intended, commit new figures, and say why:\n  {UPDATE}"
        );
    } else if gained {
        println!(
            "\nMore than {TOLERANCE} % below the committed figure: commit new ones, so that it stays:\n  {UPDATE}"
        );
    }
    for (what, then, now) in [
        ("compiler", &committed.rustc, &measured.rustc),
        ("architecture", &committed.architecture, &measured.architecture),
    ] {
        if then != now {
            println!(
                "The figures were taken with another {what} ({then}, not {now}), which may be the reason."
            );
        }
    }
    good
}
