//! What does `yield_now` cost, alone and in a crowd?

#[allow(dead_code, reason = "each bench uses a part of it")]
mod harness;
#[allow(dead_code, reason = "each bench uses a part of it")]
mod peers;
#[allow(dead_code, reason = "each bench uses a part of it")]
mod rows;

fn main() -> std::process::ExitCode {
    harness::main(&[rows::yielding::ROWS])
}
