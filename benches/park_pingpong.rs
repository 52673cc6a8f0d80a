//! What does it cost to wake a parked thread and be woken by it?

#[allow(dead_code, reason = "each bench uses a part of it")]
mod harness;
#[allow(dead_code, reason = "each bench uses a part of it")]
mod peers;
#[allow(dead_code, reason = "each bench uses a part of it")]
mod rows;

fn main() -> std::process::ExitCode {
    harness::main(&[rows::park_pingpong::ROWS])
}
