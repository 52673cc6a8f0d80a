//! A cell's process: how it is started, watched, asked and answered.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;

use super::{Cell, Entry, Peer, Row, os};
use crate::peers;

/// The child's answer starts with this word.
const ANSWER: &str = "cell:";

/// A cell that has not answered by then counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks a child process for the values of one cell.
///
/// # Errors
///
/// One line that says how the child failed, with the end of what it wrote on
/// its standard error.
pub(crate) fn ask(row: &Row, entry: &Entry, size: u64, quick: bool) -> Result<Vec<f64>, String> {
    let mut command = match entry.run {
        Some(_) => {
            let mut command = Command::new(std::env::current_exe().map_err(|e| e.to_string())?);
            command.arg("--cell").arg(row.name).arg(entry.peer.name());
            command
        }
        None => {
            let mut command = Command::new(go_program().ok_or("no Go toolchain")?);
            command.arg(row.name);
            command
        }
    };
    command.arg(size.to_string()).arg(if quick { "quick" } else { "full" });
    // smol's global executor reads its number of threads from here, Go its processors.
    command.env("SMOL_THREADS", row.processors.to_string());
    command.env("GOMAXPROCS", row.processors.to_string());
    // A failed cell's last words are for the message and the dump, not for frames.
    command.env("RUST_BACKTRACE", "0");
    os::pin_at_start(&mut command, row.processors);
    let (status, out, err) = watch(command)?;
    let answer = out.lines().find_map(|line| line.strip_prefix(ANSWER));
    let values: Option<Vec<f64>> =
        answer.and_then(|a| a.split_whitespace().map(|v| v.parse().ok()).collect());
    match values {
        Some(mut values) if status.success() && values.len() >= row.metrics.len() => {
            values.truncate(row.metrics.len());
            Ok(values)
        }
        _ => Err(format!("{status}{}", tail(&err))),
    }
}

/// Runs the command to its end, or kills it when patience runs out.
fn watch(mut command: Command) -> Result<(std::process::ExitStatus, String, String), String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("cannot start: {e}"))?;
    let (sender, receiver) = mpsc::channel();
    let mut out = child.stdout.take().expect("stdout is piped");
    let mut err = child.stderr.take().expect("stderr is piped");
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = err.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = out.read_to_end(&mut text);
        let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
    });
    let Ok(text) = receiver.recv_timeout(PATIENCE) else {
        let _ = child.kill();
        let _ = child.wait();
        let errors = errors.join().unwrap_or_default();
        return Err(format!("no answer in {} s{}", PATIENCE.as_secs(), tail(&errors)));
    };
    let status = child.wait().map_err(|e| e.to_string())?;
    Ok((status, text, errors.join().unwrap_or_default()))
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(40)..].join("\n    ");
    if last.is_empty() { last } else { format!("\n    {last}") }
}

/// The child's side: runs the cell and prints the answer.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "the answer's way to the parent")]
pub(super) fn answer(rows: &[&Row], args: &[String]) -> ExitCode {
    let cell = match args {
        [row, peer, size, length] => {
            find(rows, row, peer).zip(size.parse().ok()).map(|((row, entry), size)| {
                (entry, Cell { processors: row.processors, size, quick: length == "quick" })
            })
        }
        _ => None,
    };
    let Some((entry, cell)) = cell else {
        eprintln!("usage: --cell ROW PEER SIZE quick|full; got {args:?}");
        return ExitCode::from(2);
    };
    if entry.peer == Peer::Ours {
        std::thread::spawn(|| {
            std::thread::sleep(PATIENCE.mul_f64(0.9));
            eprintln!("hung; the runtime's dump:\n{}", peers::dump());
            std::process::exit(3);
        });
    }
    let run = entry.run.expect("`find` skips what the Go program runs");
    let values: Vec<String> = run(&cell).iter().map(f64::to_string).collect();
    println!("{ANSWER} {}", values.join(" "));
    ExitCode::SUCCESS
}

fn find<'a>(rows: &[&'a Row], row: &str, peer: &str) -> Option<(&'a Row, &'a Entry)> {
    let row = rows.iter().copied().find(|r| r.name == row)?;
    let entry = row.entry(Peer::parse(peer)?)?;
    entry.run.map(|_| (row, entry))
}

/// The Go program, built once; `None` without a `go` on the `PATH`.
pub(crate) fn go_program() -> Option<&'static PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/go");
            let program = std::env::current_exe().ok()?.with_file_name("gthread-bench-go");
            let built = Command::new("go")
                .args(["build", "-o"])
                .arg(&program)
                .arg(".")
                .current_dir(source)
                .stdout(Stdio::null())
                .status();
            built.is_ok_and(|status| status.success()).then_some(program)
        })
        .as_ref()
}
