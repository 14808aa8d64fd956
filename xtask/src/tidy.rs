//! `cargo xtask tidy`: rules about the repository that no compiler checks.

mod arrows;
mod files;
mod links;
mod rest_api;

use anyhow::{Result, bail};

use crate::generate;
use crate::workspace::Workspace;

/// Prints the longest files, for information, then fails with every broken rule at once.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let files = files::list(workspace)?;
    files::print_longest(&files);
    let mut faults = find_faults(workspace, &files)?;
    faults.sort();
    for fault in &faults {
        println!("{fault}");
    }
    match faults.len() {
        0 => Ok(()),
        1 => bail!("tidy found 1 fault"),
        count => bail!("tidy found {count} faults"),
    }
}

fn find_faults(workspace: &Workspace, files: &[files::TextFile]) -> Result<Vec<String>> {
    let mut faults = arrows::check(&workspace.metadata()?);
    faults.extend(files::check(files));
    faults.extend(links::check(&workspace.root, files));
    faults.extend(rest_api::check(files));
    faults.extend(generate::check(workspace)?);
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() -> Result<()> {
        let workspace = Workspace::find()?;
        let faults = find_faults(&workspace, &files::list(&workspace)?)?;
        assert!(faults.is_empty(), "\n{}", faults.join("\n"));
        Ok(())
    }
}
