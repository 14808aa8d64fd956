//! `cargo xtask fuzz`: cargo-fuzz on the stable compiler. Never part of `cargo xtask test`, which
//! replays the corpus through ordinary tests instead.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::{Workspace, output, show};

const SECONDS_DEFAULT: u32 = 60;

/// Which targets to run, and for how long each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    target: Option<String>,
    seconds: u32,
}

/// Reads `[TARGET] [--seconds N]`.
pub(crate) fn parse(arguments: &[&str]) -> Result<Options> {
    let mut options = Options {
        target: None,
        seconds: SECONDS_DEFAULT,
    };
    let mut arguments = arguments.iter();
    while let Some(&argument) = arguments.next() {
        if argument == "--seconds" {
            let seconds = arguments.next().context("--seconds wants a number")?;
            options.seconds = seconds
                .parse()
                .with_context(|| format!("--seconds wants a whole number, got `{seconds}`"))?;
        } else if argument.starts_with('-') {
            bail!("fuzz has no option `{argument}`");
        } else if options.target.replace(argument.to_owned()).is_some() {
            bail!("fuzz takes one target or none");
        }
    }
    Ok(options)
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let targets = find_targets(&workspace.root.join("fuzz/fuzz_targets"))?;
    let chosen: Vec<&String> = match &options.target {
        None => targets.iter().collect(),
        Some(target) => targets.iter().filter(|name| *name == target).collect(),
    };
    ensure!(
        !chosen.is_empty(),
        "no such fuzz target; there are: {}",
        targets.join(", ")
    );
    ensure!(
        output(&mut workspace.cargo(["fuzz", "--version"])).is_ok(),
        "cargo-fuzz is missing: install it with `cargo install cargo-fuzz`"
    );
    for target in chosen {
        println!("== fuzz {target}: {} s", options.seconds);
        let limit = format!("-max_total_time={}", options.seconds);
        // What the fuzzer finds stays out of the committed corpus, which is only read.
        let found = format!("target/corpus/{target}");
        let seeds = format!("fuzz/corpus/{target}");
        std::fs::create_dir_all(workspace.root.join(&found))
            .with_context(|| format!("cannot create {found}"))?;
        let run = ["fuzz", "run", "--fuzz-dir", "fuzz", target];
        let mut command = workspace.cargo(run.into_iter().chain([&*found, &seeds, "--", &limit]));
        // cargo-fuzz uses compiler flags that the stable compiler accepts only with this.
        show(command.env("RUSTC_BOOTSTRAP", "1"))?;
    }
    Ok(())
}

fn find_targets(folder: &Path) -> Result<Vec<String>> {
    let entries = folder
        .read_dir()
        .with_context(|| format!("cannot list {}", folder.display()))?;
    let mut targets = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap_or_default();
            targets.push(name.to_string_lossy().into_owned());
        }
    }
    targets.sort();
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_and_a_time_may_be_given() -> Result<()> {
        let options = parse(&["ws_parse", "--seconds", "5"])?;
        assert_eq!(
            options,
            Options {
                target: Some("ws_parse".to_owned()),
                seconds: 5
            }
        );
        assert_eq!(
            parse(&[])?,
            Options {
                target: None,
                seconds: SECONDS_DEFAULT
            }
        );
        Ok(())
    }

    #[test]
    fn nonsense_is_refused() {
        for arguments in [
            &["--seconds"][..],
            &["--seconds", "x"],
            &["--fast"],
            &["a", "b"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
