//! What does a thread cost, from `spawn` to the end of `join`?

#[allow(dead_code, reason = "each bench uses a part of it")]
mod harness;
#[allow(dead_code, reason = "each bench uses a part of it")]
mod peers;
#[allow(dead_code, reason = "each bench uses a part of it")]
mod rows;

fn main() -> std::process::ExitCode {
    harness::main(&[rows::spawn::ROWS])
}
