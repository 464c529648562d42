//! The page: the plots, and everything they show in a table.

use std::fmt::Write;

use crate::findings::{Bench, Row, Target};

pub fn page(benches: &[Bench]) -> String {
    let mut page = String::from(
        "# Figures\n\nMade by `cargo run -p heartwire-tests --example performance` of what `cargo bench -p \
         heartwire-tests`\nfound. Values are medians, with quartiles where there were several samples. Ratios are \
         taken within a\nsample, in which both sides ran one after the other.\n",
    );
    for bench in benches {
        // Writing to a string does not fail.
        let _ = write!(page, "\n## {}\n\n", bench.name);
        for plot in &bench.plots {
            let _ = writeln!(page, "![{}: {}, {}]({})\n", plot.bench, plot.group, plot.unit, plot.file());
        }
        page += "| group | what | value | unit | quartiles | target | reached |\n";
        page += "|---|---|--:|---|--:|--:|---|\n";
        for plot in &bench.plots {
            for row in &plot.rows {
                let against = if row.against.is_empty() { "" } else { " of " };
                let _ = writeln!(
                    page,
                    "| {} | {} | {} | {}{against}{} | {} | {} | {} |",
                    plot.group,
                    row.name,
                    number(row.value),
                    plot.unit,
                    row.against,
                    quartiles(row),
                    row.target.map(target).unwrap_or_default(),
                    row.reached().map_or("", |reached| if reached { "yes" } else { "**no**" }),
                );
            }
        }
    }
    page
}

/// Three digits that say something, or all before the point.
pub fn number(value: f64) -> String {
    let places = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.places$}")
}

pub fn target(target: Target) -> String {
    match target {
        Target::AtMost(most) => format!("at most {most}"),
        Target::AtLeast(least) => format!("at least {least}"),
    }
}

fn quartiles(row: &Row) -> String {
    let [low, high] = row.quartiles;
    if low < high { format!("{} to {}", number(low), number(high)) } else { String::new() }
}
