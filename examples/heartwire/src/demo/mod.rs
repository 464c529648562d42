//! `demo`: a server and several clients in one process, over loopback. Every line of its timeline
//! comes from an event that arrived; if one that should have did not, the demo fails.

mod act;
mod faults;
mod files;
mod others;
mod stage;
mod timeline;

use std::time::Duration;

use crate::exit::{Failure, Outcome};
use crate::runtime;
use timeline::Timeline;

/// What the whole demo may take. It takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// Show everything in one process over loopback, with a readable timeline
///
/// Needs no key, no network and no other program. Every line comes from an event that arrived; the exit code is 1 if
/// one that should have did not.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_: &Args) -> Outcome {
    let timeline = Timeline::start();
    // what is left of an act that failed must not keep the program
    runtime::block_on(async {
        let played = tokio::time::timeout(PATIENCE, play(&timeline)).await.unwrap_or_else(|_| {
            Err(format!("{} did not happen within {PATIENCE:?}", timeline.awaited()).into())
        });
        played.map_err(|error| {
            Failure::failed(format_args!(
                "the demo failed: {error}; this should not happen, please report it"
            ))
        })
    })?;
    timeline.finish();
    Ok(())
}

async fn play(timeline: &Timeline) -> Result<(), timeline::Failed> {
    act::play(timeline).await?;
    others::play(timeline).await?;
    files::play(timeline).await
}
