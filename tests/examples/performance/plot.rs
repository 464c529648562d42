//! One plot: a bar for each finding, with its quartiles and its target.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::findings::{Plot, Row};
use crate::page::number;
use crate::scale::Scale;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

const MARGIN: i32 = 20;
/// What the bars have, in pixels.
const BARS: i32 = 460;
/// What stands behind the bars: the values.
const VALUES: i32 = 190;
const TOP: i32 = 84;
const BOTTOM: i32 = 64;
const ROW: i32 = 26;
/// Between what has different names.
const GAP: i32 = 10;

const INK: RGBColor = RGBColor(34, 40, 49);
const FAINT: RGBColor = RGBColor(105, 113, 125);
const GRID: RGBColor = RGBColor(225, 228, 232);
const PLAIN: RGBColor = RGBColor(126, 155, 191);
const REACHED: RGBColor = RGBColor(98, 168, 124);
const MISSED: RGBColor = RGBColor(214, 122, 100);

pub fn draw(plot: &Plot, path: &Path) -> Drawn {
    let labels: Vec<String> = plot.rows.iter().map(|row| label(plot, row)).collect();
    let left = MARGIN + labels.iter().map(|label| width(label)).max().unwrap_or(0) + 10;
    let mut ys = Vec::new();
    let mut y = TOP;
    for (at, row) in plot.rows.iter().enumerate() {
        if at > 0 && plot.against().is_none() && row.name != plot.rows[at - 1].name {
            y += GAP;
        }
        ys.push(y);
        y += ROW;
    }
    let size = (u32::try_from(left + BARS + VALUES)?, u32::try_from(y + BOTTOM)?);
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE)?;

    let scale = Scale::of(plot);
    // The scale is a fraction of the width: it fits.
    #[allow(clippy::cast_possible_truncation)]
    let x = |value: f64| left + (scale.at(value) * f64::from(BARS)).round() as i32;
    text(&area, &format!("{}: {}", plot.bench, plot.group), (MARGIN, 30), 20, INK, HPos::Left)?;
    text(&area, &subtitle(plot), (MARGIN, 56), 13, FAINT, HPos::Left)?;
    for tick in scale.ticks() {
        line(&area, [(x(tick), TOP - 6), (x(tick), y + 4)], GRID, 1)?;
        text(&area, &short(tick), (x(tick), y + 16), 12, FAINT, HPos::Center)?;
    }
    line(&area, [(x(scale.base()), TOP - 6), (x(scale.base()), y + 4)], FAINT, 1)?;
    for ((row, label), y) in plot.rows.iter().zip(&labels).zip(ys) {
        let middle = y + ROW / 2;
        text(&area, label, (left - 10, middle), 13, INK, HPos::Right)?;
        let colour = match row.reached() {
            None => PLAIN,
            Some(true) => REACHED,
            Some(false) => MISSED,
        };
        let (from, to) = (x(scale.base()).min(x(row.value)), x(scale.base()).max(x(row.value)));
        area.draw(&Rectangle::new([(from, y + 5), (to, y + ROW - 5)], colour.filled()))?;
        let [low, high] = row.quartiles.map(x);
        if low < high {
            line(&area, [(low, middle), (high, middle)], INK, 1)?;
            for end in [low, high] {
                line(&area, [(end, middle - 4), (end, middle + 4)], INK, 1)?;
            }
        }
        let mut value = number(row.value);
        if let Some(target) = row.target {
            let at = x(target.value());
            line(&area, [(at, y + 1), (at, y + ROW - 1)], INK, 3)?;
            value += &format!(" ({})", crate::page::target(target));
        }
        text(&area, &value, (left + BARS + 12, middle), 13, INK, HPos::Left)?;
    }
    legend(&area, plot, y + 44)?;
    area.present()?;
    Ok(())
}

fn legend(area: &Area<'_>, plot: &Plot, y: i32) -> Drawn {
    let any = |wanted| plot.rows.iter().any(|row| row.reached() == wanted);
    let mut x = MARGIN;
    let targets = any(Some(true)) || any(Some(false));
    let kinds =
        [(None, PLAIN, "no target"), (Some(true), REACHED, "reached"), (Some(false), MISSED, "missed")];
    for (_, colour, name) in kinds.into_iter().filter(|(wanted, ..)| targets && any(*wanted)) {
        area.draw(&Rectangle::new([(x, y - 6), (x + 12, y + 6)], colour.filled()))?;
        text(area, name, (x + 18, y), 12, FAINT, HPos::Left)?;
        x += 18 + width(name) + 16;
    }
    if targets {
        line(area, [(x + 2, y - 8), (x + 2, y + 8)], INK, 3)?;
        text(area, "target", (x + 12, y), 12, FAINT, HPos::Left)?;
        x += 12 + width("target") + 16;
    }
    if plot.rows.iter().any(|row| row.quartiles[0] < row.quartiles[1]) {
        line(area, [(x, y), (x + 16, y)], INK, 1)?;
        for end in [x, x + 16] {
            line(area, [(end, y - 4), (end, y + 4)], INK, 1)?;
        }
        text(area, "half of the samples", (x + 24, y), 12, FAINT, HPos::Left)?;
    }
    Ok(())
}

fn subtitle(plot: &Plot) -> String {
    let mut subtitle = plot.unit.clone();
    match plot.against() {
        Some("") => {}
        Some(against) => subtitle += &format!(" of {against}"),
        None => subtitle += " of what stands beside it",
    }
    if plot.is_ratio() {
        subtitle += match plot.less_is_better() {
            Some(true) => "; left of 1 is better",
            Some(false) => "; right of 1 is better",
            None => "",
        };
    }
    subtitle
}

fn label(plot: &Plot, row: &Row) -> String {
    if plot.against().is_some() || row.against.is_empty() {
        row.name.clone()
    } else {
        format!("{} / {}", row.name, row.against)
    }
}

/// About as wide as a text of this plot gets, in pixels.
fn width(text: &str) -> i32 {
    i32::try_from(text.chars().count()).unwrap_or(i32::MAX / 8) * 7
}

/// A tick without zeros that say nothing.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn line(area: &Area<'_>, ends: [(i32, i32); 2], colour: RGBColor, width: u32) -> Drawn {
    Ok(area.draw(&PathElement::new(ends, colour.stroke_width(width)))?)
}

fn text(area: &Area<'_>, text: &str, at: (i32, i32), size: u32, colour: RGBColor, side: HPos) -> Drawn {
    let style = TextStyle::from(("sans-serif", size).into_font()).color(&colour);
    let style = style.pos(Pos::new(side, VPos::Center));
    Ok(area.draw(&Text::new(text, at, style))?)
}
