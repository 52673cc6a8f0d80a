//! Does a thread that blocks or computes keep the others from running?

#[allow(dead_code, reason = "each bench uses a part of it")]
mod harness;
#[allow(dead_code, reason = "each bench uses a part of it")]
mod peers;
#[allow(dead_code, reason = "each bench uses a part of it")]
mod rows;

fn main() -> std::process::ExitCode {
    harness::main(&[rows::handoff::ROWS])
}
