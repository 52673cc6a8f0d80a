//! What does it cost to go from one thread to another and nothing else?

#[allow(dead_code, reason = "each bench uses a part of it")]
mod harness;
#[allow(dead_code, reason = "each bench uses a part of it")]
mod peers;
#[allow(dead_code, reason = "each bench uses a part of it")]
mod rows;

fn main() -> std::process::ExitCode {
    harness::main(&[rows::switch::ROWS])
}
