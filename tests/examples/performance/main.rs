//! The page of figures: draws what the benches left in cargo's target folder, and writes the table of it.
//!
//! `cargo run -p heartwire-tests --example performance` after `cargo bench -p heartwire-tests`; into
//! `docs/performance/`. Findings of other folders: `… --example performance -- FOLDER`.

mod findings;
mod page;
mod plot;
mod scale;

use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let from = match std::env::args_os().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => findings::folder().ok_or("there are no findings: run the benches first")?,
    };
    let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance");
    std::fs::create_dir_all(&to)?;
    let benches = findings::read(&from)?;
    for plot in benches.iter().flat_map(|bench| &bench.plots) {
        plot::draw(plot, &to.join(plot.file()))?;
    }
    std::fs::write(to.join("figures.md"), page::page(&benches))?;
    println!("{} benches, into {}", benches.len(), to.canonicalize()?.display());
    Ok(())
}
