//! The table: rows by peers, with ratios and targets, as aligned Markdown.

use std::fmt::Write;

use super::rounds::{Results, Samples};
use super::{Bound, Peer, Row};

/// Markdown that reads well in a terminal too.
pub(crate) fn table(rows: &[&Row], results: &Results) -> String {
    let peers: Vec<Peer> = Peer::ALL
        .into_iter()
        .filter(|&peer| rows.iter().any(|row| results.contains_key(&(row.name, peer))))
        .collect();
    let mut lines = vec![header(&peers)];
    for row in rows {
        for index in 0..row.metrics.len() {
            lines.push(line(row, index, &peers, results, index == 0));
        }
    }
    aligned(&lines, 3)
}

fn header(peers: &[Peer]) -> Vec<String> {
    let mut cells: Vec<String> = ["what", "P", "metric"].map(str::to_owned).into();
    cells.extend(peers.iter().map(|peer| peer.name().to_owned()));
    cells.extend(["ours / best".to_owned(), "at least".to_owned(), "aim".to_owned()]);
    cells
}

fn line(row: &Row, index: usize, peers: &[Peer], results: &Results, first: bool) -> Vec<String> {
    let metric = &row.metrics[index];
    let samples = |peer| results.get(&(row.name, peer));
    let value = |peer| samples(peer).and_then(|s: &Samples| s.median(index));
    let lowest = peers.iter().filter_map(|&p| value(p)).min_by(f64::total_cmp);
    let about = if first { row.about.to_owned() } else { String::new() };
    let processors = if first { row.processors.to_string() } else { String::new() };
    let unit = if metric.unit.is_empty() { String::new() } else { format!(", {}", metric.unit) };
    let mut cells = vec![about, processors, format!("{}{unit}", metric.name)];
    for &peer in peers {
        cells.push(match (value(peer), samples(peer)) {
            (Some(v), Some(s)) => shown(row, peer, v, s, index, Some(v) == lowest),
            (None, Some(_)) => "failed".to_owned(),
            _ => "–".to_owned(),
        });
    }
    let best = best_peer(row, index, results);
    let ours = value(Peer::Ours);
    cells.push(ours.zip(best).map_or("–".to_owned(), |(o, b)| ratio(o, b)));
    let bare = value(Peer::Bare);
    cells.push(target(metric.bound, ours, best, bare));
    cells.push(target(metric.aim, ours, best, bare));
    cells
}

/// The lowest value of a peer other than ours and the bare system call.
pub(crate) fn best_peer(row: &Row, index: usize, results: &Results) -> Option<f64> {
    row.entries
        .iter()
        .filter(|e| !matches!(e.peer, Peer::Ours | Peer::Bare))
        .filter_map(|e| results.get(&(row.name, e.peer))?.median(index))
        .min_by(f64::total_cmp)
}

fn shown(row: &Row, peer: Peer, v: f64, samples: &Samples, index: usize, lowest: bool) -> String {
    let mut text = number(v);
    if samples.is_noisy(index) {
        text.push('~');
    }
    if row.entry(peer).is_some_and(|e| e.share > 1) {
        text.push('*');
    }
    if !samples.failures.is_empty() {
        let _ = write!(text, " ({} failed)", samples.failures.len());
    }
    if lowest { format!("**{text}**") } else { text }
}

fn ratio(ours: f64, best: f64) -> String {
    match best {
        0.0 if ours == 0.0 => "1.00".to_owned(),
        0.0 => "–".to_owned(),
        _ => number_with(ours / best, 3),
    }
}

fn target(bound: Bound, ours: Option<f64>, best: Option<f64>, bare: Option<f64>) -> String {
    let (text, limit) = match bound {
        Bound::None => return String::new(),
        Bound::BestPeer => ("best peer".to_owned(), best),
        Bound::Max(max) => (format!("≤ {}", number(max)), Some(max)),
        Bound::OfBare(times) => (format!("{times} × bare"), bare.map(|bare| bare * times)),
    };
    let verdict = ours.zip(limit).map_or("", |(o, l)| if o <= l { " ✓" } else { " ✗" });
    format!("{text}{verdict}")
}

/// Three significant digits, thousands apart.
pub(crate) fn number(value: f64) -> String {
    number_with(value, 3)
}

fn number_with(value: f64, digits: i32) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let decimals = (digits - 1 - magnitude).clamp(0, 3) as usize;
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let rest = if rest.chars().all(|c| c == '.' || c == '0') { "" } else { rest };
    grouped + rest
}

/// Pads the cells; the first `left` columns to the left, the others to the right.
fn aligned(lines: &[Vec<String>], left: usize) -> String {
    let columns = lines[0].len();
    let width = |c: usize| lines.iter().map(|l| l[c].chars().count()).max().unwrap_or(0).max(3);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (i, cells) in lines.iter().enumerate() {
        for (c, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let _ = if c < left {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if i == 0 {
            for (c, width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width + 1);
                let _ =
                    if c < left { write!(text, "|{dashes}-") } else { write!(text, "|{dashes}:") };
            }
            text.push_str("|\n");
        }
    }
    text
}

/// One paragraph per cell that failed, empty when none did.
pub(crate) fn failures(rows: &[&Row], results: &Results) -> String {
    let mut text = String::new();
    for row in rows {
        for entry in row.entries {
            let Some(samples) = results.get(&(row.name, entry.peer)) else { continue };
            if let Some(why) = samples.failures.first() {
                let (name, times) = (entry.peer.name(), samples.failures.len());
                let _ = writeln!(text, "{} / {name}: failed {times}×: {why}", row.name);
            }
        }
    }
    text
}
