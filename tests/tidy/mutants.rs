//! Each mutant site in the library is killed by a named model, or argued to be equivalent.
//!
//! The lines, anywhere in `src`:
//! - `// MUTANT: <site> KILLED-BY <path of the test within the crate>`
//! - `// MUTANT: <site> EQUIVALENT: <reason>`

use super::source::{Complaint, Source};

/// What a line says of a site.
enum Verdict<'a> {
    KilledBy(&'a str),
    Equivalent(&'a str),
    Malformed,
}

/// Complains of sites without a line, and of lines that name no site, no test or no reason.
pub(crate) fn check(sources: &[Source]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let sites: Vec<(&Source, usize, &str)> = sources.iter().flat_map(sites_of).collect();
    let lines: Vec<(&Source, usize, &str, Verdict<'_>)> =
        sources.iter().flat_map(lines_of).collect();
    for (source, line, site) in &sites {
        if !lines.iter().any(|(_, _, named, _)| named == site) {
            let message = format!("mutant site `{site}` has no line `// MUTANT: {site} …`");
            complaints.push(Complaint::new(&source.path, *line, message));
        }
    }
    let tests: Vec<String> = sources
        .iter()
        .flat_map(|source| source.functions().into_iter().map(move |function| (source, function)))
        .filter(|(source, function)| source.is_test(function.body.0))
        .map(|(_, function)| function.path)
        .collect();
    for (source, line, site, verdict) in &lines {
        let message = match verdict {
            _ if !sites.iter().any(|(_, _, known)| known == site) => {
                format!("there is no mutant site `{site}`")
            }
            Verdict::KilledBy(test) if !tests.iter().any(|known| known == test) => {
                format!("`{site}` is to be killed by `{test}`, which is no test of the library")
            }
            Verdict::Equivalent(reason) if reason.len() < 20 => {
                format!("`{site}` is equivalent: say why")
            }
            Verdict::Malformed => format!("`{site}`: neither `KILLED-BY <test>` nor `EQUIVALENT:`"),
            _ => continue,
        };
        complaints.push(Complaint::new(&source.path, *line, message));
    }
    complaints
}

/// The names in `ord!("…"` and `mutant!("…"`.
fn sites_of(source: &Source) -> Vec<(&Source, usize, &str)> {
    let is_site = |&&(at, _): &&(usize, String)| {
        let before = source.code[..at].trim_end();
        before.ends_with("ord!(") || before.ends_with("mutant!(")
    };
    let literals = source.literals.iter().filter(is_site);
    literals.map(|(at, name)| (source, source.line_of(*at), name.as_str())).collect()
}

fn lines_of(source: &Source) -> Vec<(&Source, usize, &str, Verdict<'_>)> {
    let mut lines = Vec::new();
    for comment in &source.comments {
        let Some(rest) = comment.text.strip_prefix("// MUTANT: ") else { continue };
        let (site, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let verdict = if let Some(test) = rest.strip_prefix("KILLED-BY ") {
            Verdict::KilledBy(test.trim())
        } else if let Some(reason) = rest.strip_prefix("EQUIVALENT:") {
            Verdict::Equivalent(reason.trim())
        } else {
            Verdict::Malformed
        };
        lines.push((source, comment.line, site, verdict));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "//! Story.\nfn f() { x.store(1, ord!(\"a.b\", Release)); mutant!(\n\"a.c\"); }\n\
        #[cfg(all(loom, test))] mod model { #[test] fn t() {} }\n";
    const REASON: &str = "the fence before it orders the same two accesses";

    fn complaints_of(lines: &str) -> usize {
        check(&[Source::new("src/a/mod.rs", &format!("{CODE}{lines}"))]).len()
    }

    #[test]
    fn accounted_sites_pass() {
        let lines =
            format!("// MUTANT: a.b KILLED-BY a::model::t\n// MUTANT: a.c EQUIVALENT: {REASON}");
        assert_eq!(complaints_of(&lines), 0);
    }

    #[test]
    fn a_site_without_a_line_is_found() {
        assert_eq!(complaints_of(""), 2);
        assert_eq!(complaints_of("// MUTANT: a.b KILLED-BY a::model::t"), 1);
    }

    #[test]
    fn a_line_without_a_site_a_test_or_a_reason_is_found() {
        let rest = format!("\n// MUTANT: a.c EQUIVALENT: {REASON}\n// MUTANT: a.b ");
        assert_eq!(
            complaints_of(&format!(
                "// MUTANT: a.x KILLED-BY a::model::t{rest}KILLED-BY a::model::t"
            )),
            1
        );
        assert_eq!(complaints_of(&format!("{rest}KILLED-BY a::model::gone")), 1);
        assert_eq!(complaints_of(&format!("{rest}KILLED-BY f")), 1);
        assert_eq!(complaints_of(&format!("{rest}EQUIVALENT: yes")), 1);
        assert_eq!(complaints_of(&format!("{rest}SURVIVES")), 1);
    }
}
