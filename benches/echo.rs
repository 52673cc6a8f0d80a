//! What does a TCP server cost that sends back what it receives, and how late are its answers?

#[allow(dead_code, reason = "each bench uses a part of it")]
mod harness;
#[allow(dead_code, reason = "each bench uses a part of it")]
mod peers;
#[allow(dead_code, reason = "each bench uses a part of it")]
mod rows;

fn main() -> std::process::ExitCode {
    rows::echo::serve_if_asked().unwrap_or_else(|| harness::main(&[rows::echo::ROWS]))
}
