//! The tables and the picture of `benches/alloc.rs`.

use std::fmt::Write;
use std::path::Path;

use super::names::{ALLOCATORS, CELLS};
use super::{Figures, Results};

const BASE: &str = "mimalloc";
const LIVE: &str = "live";
const BEGIN: &str = "<!-- alloc:begin -->\n";
const END: &str = "<!-- alloc:end -->";

/// What a figure is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Time,
    Peak,
    Idle,
}

/// One figure for each thread count, cell and allocator.
#[derive(Debug)]
pub(crate) struct Report {
    results: Results,
    threads: Vec<String>,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Report {
    pub(crate) fn new(results: Results) -> Self {
        let mut threads: Vec<String> = results.keys().map(|key| key.0.clone()).collect();
        threads.dedup();
        Self { results, threads }
    }

    /// The least time and the medians of the rest.
    fn figures(&self, threads: &str, cell: &str, name: &str) -> Option<Figures> {
        let key = (threads.to_string(), cell.to_string(), name.to_string());
        let rounds = self.results.get(&key)?;
        let all = |of: fn(&Figures) -> f64| rounds.iter().map(of).collect::<Vec<_>>();
        Some(Figures {
            time_ns: all(|round| round.time_ns).into_iter().fold(f64::INFINITY, f64::min),
            start_kib: median(all(|round| round.start_kib)),
            peak_kib: median(all(|round| round.peak_kib)),
            idle_kib: median(all(|round| round.idle_kib)),
        })
    }

    /// The geometric mean relative to mimalloc over the cells that both have.
    fn mean(&self, threads: &str, name: &str, what: What) -> Option<f64> {
        let value = |figures: Figures| match what {
            What::Time => figures.time_ns,
            What::Peak => figures.peak_kib,
            What::Idle => figures.idle_kib,
        };
        let ratio = |cell: &&str| {
            let ours = value(self.figures(threads, cell, name)?);
            Some(ours.max(0.001) / value(self.figures(threads, cell, BASE)?).max(0.001))
        };
        let logs: Vec<f64> = CELLS.iter().filter_map(ratio).map(f64::ln).collect();
        (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
    }

    /// A table per number of threads: every cell, and the means in the last row.
    pub(crate) fn cells(&self) -> String {
        let mut text = String::new();
        for threads in &self.threads {
            let _ = writeln!(
                text,
                "{threads} thread(s): processor time in ns per operation / peak RSS in MiB / RSS \
                 in MiB 1.5 s after everything was freed\n\n| cell | {} |\n|---{}|",
                ALLOCATORS.join(" | "),
                "|---".repeat(ALLOCATORS.len())
            );
            for cell in CELLS {
                let row = ALLOCATORS.iter().map(|name| {
                    let Some(figures) = self.figures(threads, cell, name) else {
                        return "-".into();
                    };
                    let (peak, idle) = (figures.peak_kib / 1024.0, figures.idle_kib / 1024.0);
                    match *name {
                        LIVE => format!("{peak:.1}"),
                        _ => format!("{:.1} / {peak:.1} / {idle:.1}", figures.time_ns),
                    }
                });
                let _ = writeln!(text, "| {cell} | {} |", row.collect::<Vec<_>>().join(" | "));
            }
            let row = ALLOCATORS.iter().map(|name| {
                let mean = |what| {
                    let mean = self.mean(threads, name, what);
                    mean.map_or("-".into(), |mean| format!("{mean:.2}"))
                };
                match *name {
                    LIVE => mean(What::Peak),
                    _ => [mean(What::Time), mean(What::Peak), mean(What::Idle)].join(" / "),
                }
            });
            let _ = writeln!(
                text,
                "| **mean, {BASE} = 1** | {} |\n",
                row.collect::<Vec<_>>().join(" | ")
            );
        }
        text
    }

    /// The means alone, and what is kept of 350 MB.
    pub(crate) fn means(&self) -> String {
        let last = self.threads.last().map_or("2", String::as_str);
        let heads = ["time", "peak RSS", "RSS 1.5 s after"]
            .iter()
            .flat_map(|what| self.threads.iter().map(move |n| format!("{what}, {n} thr.")));
        let mut text = format!(
            "| | {} | kept of 350 MB, MiB |\n|---{}|---|\n",
            heads.collect::<Vec<_>>().join(" | "),
            "|---".repeat(3 * self.threads.len())
        );
        for name in ALLOCATORS {
            let is_live = *name == LIVE;
            let mut row = Vec::new();
            for what in [What::Time, What::Peak, What::Idle] {
                for threads in &self.threads {
                    let mean = self.mean(threads, name, what);
                    let shown = mean.filter(|_| !is_live || what == What::Peak);
                    row.push(shown.map_or("".into(), |mean| format!("{mean:.2}")));
                }
            }
            let kept = self.figures(last, "freed", name).filter(|_| !is_live);
            row.push(kept.map_or("".into(), |kept| format!("{:.0}", kept.idle_kib / 1024.0)));
            let shown = if is_live { "*program and live blocks*" } else { name };
            let _ = writeln!(text, "| {shown} | {} |", row.join(" | "));
        }
        text
    }

    /// Bars of the means: time, peak, idle for each allocator.
    fn svg(&self) -> String {
        let names = &ALLOCATORS[..ALLOCATORS.len() - 1];
        let height = 40 + self.threads.len() * (names.len() * 44 + 30);
        let mut svg = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='720' height='{height}' \
             font-family='sans-serif' font-size='12'>\n<rect width='100%' height='100%' \
             fill='white'/>\n<text x='10' y='18'>Relative to {BASE}, geometric means: time \
             (dark), peak RSS, RSS 1.5 s after everything was freed (light)</text>\n"
        );
        let mut y = 40;
        for threads in &self.threads {
            let _ = writeln!(svg, "<text x='10' y='{y}'>{threads} thread(s)</text>");
            y += 10;
            for name in names {
                let _ = writeln!(svg, "<text x='10' y='{}'>{name}</text>", y + 24);
                for (index, (what, colour)) in
                    [(What::Time, "#1f4e79"), (What::Peak, "#5b9bd5"), (What::Idle, "#bdd7ee")]
                        .into_iter()
                        .enumerate()
                {
                    let value = self.mean(threads, name, what).unwrap_or(0.0);
                    let (top, width) = (y + index * 13, (value * 180.0).min(560.0));
                    let _ = writeln!(
                        svg,
                        "<rect x='90' y='{top}' width='{width:.0}' height='12' fill='{colour}'/>\
                         <text x='{:.0}' y='{}'>{value:.2}</text>",
                        width + 95.0,
                        top + 10
                    );
                }
                y += 44;
            }
            y += 20;
        }
        svg + "</svg>\n"
    }

    /// Writes the tables, the picture, and the means into the README.
    pub(crate) fn write(&self, root: &Path) -> Result<(), String> {
        let machine = machine();
        let results = root.join("benches/results");
        let text = format!(
            "# The allocators, cell by cell\n\nTaken by `.ci/bench-alloc --write` on {machine}. \
             What the cells do: `benches/alloc/cells.rs`. \"live\" is the program and the largest \
             sum of the sizes asked for: what no allocator can do without.\n\n{}",
            self.cells()
        );
        let readme = root.join("README.md");
        let old = std::fs::read_to_string(&readme).map_err(|error| error.to_string())?;
        let (before, rest) = old.split_once(BEGIN).ok_or("README.md has no alloc:begin")?;
        let (_, after) = rest.split_once(END).ok_or("README.md has no alloc:end")?;
        let new = format!(
            "{before}{BEGIN}Geometric means over {} workloads relative to {BASE} 3 (less is \
             better), on {machine}:\n\n{}\n[Cell by cell](benches/results/alloc.md), \
             [as a picture](benches/results/alloc.svg); again by `.ci/bench-alloc --write`.\n{END}\
             {after}",
            CELLS.len(),
            self.means()
        );
        std::fs::create_dir_all(&results)
            .and_then(|()| std::fs::write(results.join("alloc.md"), text))
            .and_then(|()| std::fs::write(results.join("alloc.svg"), self.svg()))
            .and_then(|()| std::fs::write(&readme, new))
            .map_err(|error| error.to_string())
    }
}

/// The processor, its cores, and the kernel.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{cores} cores of {}, Linux {}",
        model.map_or("an unnamed processor", |(_, model)| model),
        kernel.trim().split('-').next().unwrap_or_default()
    )
}
