//! Pages in Chromium, driven from the JavaScript suite's Node: of the suite's own and of the chat among the examples.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Setup, javascript};
use crate::counts::Counts;
use crate::workspace::{find_program, output, show};

const FILES: [&str; 2] = ["browser.test.mjs", "chat.test.mjs"];

pub(super) fn run(setup: &Setup, counts: &mut Counts) -> Result<bool> {
    let chromium = find_or_install()?;
    let folder = javascript::install(setup)?;
    let chat = setup.installed.join("chat");
    javascript::install_packages(&setup.examples.join("chat"), &chat)?;
    let mut node = javascript::node(&folder);
    node.env("CHROMIUM_BIN", chromium).env("CHAT_FOLDER", chat);
    javascript::run_files(setup, &mut node, &FILES, counts)
}

fn find_or_install() -> Result<PathBuf> {
    if let Some(chromium) = find_program("chromium") {
        return Ok(chromium);
    }
    let Some(apt_get) = find_program("apt-get").filter(|_| is_root()) else {
        bail!("chromium is not on PATH: install it (Debian: apt-get install chromium)");
    };
    println!("installing Chromium");
    let mut update = Command::new(&apt_get);
    show(update.args(["update", "-qq"]))?;
    let mut install = Command::new(&apt_get);
    install
        .args([
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "chromium",
        ])
        .env("DEBIAN_FRONTEND", "noninteractive");
    show(&mut install)?;
    find_program("chromium").context("the package chromium put no chromium on PATH")
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}
