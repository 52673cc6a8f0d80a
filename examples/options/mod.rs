//! Command lines of the network examples: `--name VALUE` pairs and plain words.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::str::FromStr;

/// What a command line says.
#[derive(Debug)]
pub struct Options {
    named: HashMap<String, String>,
    words: std::collections::VecDeque<String>,
}

/// Why a command line is refused.
#[derive(Debug)]
pub enum Refusal {
    /// The user asks for help.
    Help,
    /// What is wrong with it.
    Wrong(String),
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self::Wrong(text)
    }
}

impl Options {
    /// The command line of this process; `known` are the names that take a value.
    pub fn read(known: &[&str]) -> Result<Self, Refusal> {
        let mut options = Self { named: HashMap::new(), words: Default::default() };
        let mut args = std::env::args_os().skip(1);
        while let Some(arg) = args.next() {
            let arg = arg.into_string().map_err(|arg| format!("{arg:?} is not UTF-8"))?;
            if arg == "--help" || arg == "-h" {
                return Err(Refusal::Help);
            }
            if !known.contains(&arg.as_str()) {
                if arg.starts_with('-') {
                    return Err(format!("unknown option {arg:?}").into());
                }
                options.words.push_back(arg);
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{arg} wants a value"))?;
            let value = value.into_string().map_err(|value| format!("{value:?} is not UTF-8"))?;
            options.named.insert(arg, value);
        }
        Ok(options)
    }

    /// The number that `name` has, within `range`.
    pub fn number<T>(
        &mut self,
        name: &str,
        default: T,
        range: RangeInclusive<T>,
    ) -> Result<T, Refusal>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.named.remove(name) else { return Ok(default) };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => {
                let (low, high) = range.into_inner();
                Err(format!("{name} wants a number from {low} to {high}, not {text:?}").into())
            }
        }
    }

    /// The text that `name` has.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.named.remove(name)
    }

    /// The next plain word.
    pub fn word(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    /// Fails if a plain word is left.
    pub fn end(&self) -> Result<(), Refusal> {
        match self.words.front() {
            Some(word) => Err(format!("{word:?} is one argument too many").into()),
            None => Ok(()),
        }
    }
}

/// Runs `main`; tells on standard error what was wrong, with the usage if it was the command line.
pub fn run(
    name: &str,
    usage: &str,
    main: impl FnOnce() -> Result<Result<(), String>, Refusal>,
) -> ExitCode {
    match main() {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
        Err(Refusal::Help) => {
            println!("{usage}");
            ExitCode::SUCCESS
        }
        Err(Refusal::Wrong(why)) => {
            eprintln!("{name}: {why}\n\n{usage}");
            ExitCode::from(2)
        }
    }
}
