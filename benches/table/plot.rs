//! The plot: one group of bars per row, on a logarithmic scale.
//!
//! A bar's length is the logarithm of how many times as much the peer takes as
//! the best of its row, so one plot holds nanoseconds, bytes and seconds.

use std::fmt::Write;

use crate::harness::rounds::Results;
use crate::harness::{Peer, Row, report};

const LABELS: f64 = 250.0;
const BARS: f64 = 430.0;
const WIDTH: f64 = LABELS + BARS + 130.0;
const BAR: f64 = 11.0;
const GAP: f64 = 12.0;
const TOP: f64 = 64.0;
/// The longest bar stands for this factor; longer ones are cut, their figure tells.
const FACTOR_MAX: f64 = 1_000.0;

fn colour(peer: Peer) -> &'static str {
    match peer {
        Peer::Ours => "#d9480f",
        Peer::Std => "#868e96",
        Peer::ParkingLot => "#495057",
        Peer::Tokio => "#4263eb",
        Peer::Smol => "#9775fa",
        Peer::May => "#37b24d",
        Peer::Go => "#15aabf",
        Peer::Bare => "#212529",
    }
}

/// The plot as an SVG document that needs no font, script or style of its own.
pub(crate) fn svg(rows: &[&Row], results: &Results) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for row in rows {
        for (index, metric) in row.metrics.iter().enumerate().filter(|(_, m)| m.plotted) {
            let bars: Vec<(Peer, f64)> = Peer::ALL
                .into_iter()
                .filter_map(|p| Some((p, results.get(&(row.name, p))?.median(index)?)))
                .collect();
            if bars.is_empty() {
                continue;
            }
            let middle = y + bars.len() as f64 * BAR / 2.0;
            let about = format!("{} (P = {})", row.about, row.processors);
            label(&mut body, LABELS - 10.0, middle - 2.0, "end", &about);
            let unit = format!("{}, {}", metric.name, metric.unit);
            faint(&mut body, LABELS - 10.0, middle + 11.0, "end", &unit);
            group(&mut body, y, &bars);
            y += bars.len() as f64 * BAR + GAP;
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" \
         height=\"{y}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{y}\" fill=\"#ffffff\"/>\n{}{body}</svg>\n",
        legend(rows, results, y)
    )
}

/// The bars of one row, each with its figure.
fn group(body: &mut String, top: f64, bars: &[(Peer, f64)]) {
    let best = bars.iter().map(|bar| bar.1).fold(f64::INFINITY, f64::min);
    for (i, &(peer, value)) in bars.iter().enumerate() {
        let factor = if value <= best { 1.0 } else { value / best.max(f64::MIN_POSITIVE) };
        let length = 3.0 + (BARS - 3.0) * factor.min(FACTOR_MAX).log10() / FACTOR_MAX.log10();
        let y = top + i as f64 * BAR;
        let _ = writeln!(
            body,
            "<rect x=\"{LABELS}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{:.1}\" fill=\"{}\">\
             <title>{}: {}</title></rect>",
            BAR - 1.5,
            colour(peer),
            peer.name(),
            report::number(value)
        );
        faint(body, LABELS + length + 5.0, y + BAR - 2.5, "start", &report::number(value));
    }
}

/// Names and colours of the peers that have figures, and the scale's lines.
fn legend(rows: &[&Row], results: &Results, bottom: f64) -> String {
    let mut body = String::new();
    let mut x = 12.0;
    let has = |peer| rows.iter().any(|row| results.contains_key(&(row.name, peer)));
    for peer in Peer::ALL.into_iter().filter(|&peer| has(peer)) {
        let fill = colour(peer);
        let _ =
            writeln!(body, "<rect x=\"{x}\" y=\"12\" width=\"11\" height=\"11\" fill=\"{fill}\"/>");
        label(&mut body, x + 16.0, 22.0, "start", peer.name());
        x += 34.0 + 7.0 * peer.name().len() as f64;
    }
    for exponent in 0..=FACTOR_MAX.log10() as i32 {
        let x = LABELS + 3.0 + (BARS - 3.0) * f64::from(exponent) / FACTOR_MAX.log10();
        let _ = writeln!(
            body,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\" stroke=\"#dee2e6\"/>",
            TOP - 8.0
        );
        let text = if exponent == 0 {
            "best".to_owned()
        } else {
            format!("{}×", 10_i32.pow(exponent as u32))
        };
        faint(&mut body, x, TOP - 13.0, "middle", &text);
    }
    body
}

fn label(body: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    write_text(body, x, y, anchor, "#212529\" font-size=\"12", text);
}

fn faint(body: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    write_text(body, x, y, anchor, "#495057\" font-size=\"10", text);
}

fn write_text(body: &mut String, x: f64, y: f64, anchor: &str, style: &str, text: &str) {
    let _ = writeln!(
        body,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{style}\">{text}</text>"
    );
}
