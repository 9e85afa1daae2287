//! What modules for a kernel build against: Debian's headers of that kernel, unpacked and made to work where they lie.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::{
    debian::Apt,
    kernels::{self, COMPLETE, Flavour},
};
use crate::shell::{self, say};

/// Variables of `make` that let another compiler than the kernel's build modules: its name, and an option that GCC before
/// 14 does not have.
const OTHER_COMPILER: [&str; 2] = ["CC=gcc", "CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT="];

/// Builds the modules of a folder for the kernel of this series; they lie in it, `NAME.ko`. The folder is written to: it
/// should be a copy.
///
/// # Errors
/// When there are no headers for the kernel, or the sources do not build.
pub fn build_modules(series: &str, folder: &Path) -> Result<()> {
    let mut make = shell::command("make");
    make.arg("-C").arg(headers(series)?).arg(format!("M={}", folder.display())).args(OTHER_COMPILER).arg("modules");
    shell::run(&mut make)
}

/// The tree for the kernel of this series, fetched if it is not here.
///
/// # Errors
/// When the mirror has none for the release that is unpacked.
pub fn headers(series: &str) -> Result<PathBuf> {
    let kernel = kernels::fetch(series, Flavour::Cloud)?;
    let folder = kernels::folder(series)?.join("headers");
    let tree = folder.join("usr/src").join(format!("linux-headers-{}", kernel.release));
    if folder.join(COMPLETE).is_file() {
        return Ok(tree);
    }
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let apt = Apt::open(&kernels::apt_folder()?)?;
    let package = format!("linux-headers-{}", kernel.release);
    ensure!(
        apt.names(&package)?.contains(&package),
        "this machine's Debian mirror has no package {package}; if it has gone on to a later release, remove {} to \
         fetch that",
        kernels::folder(series)?.display()
    );
    let wanted = |name: &&String| {
        name.starts_with("linux-kbuild-") || (name.starts_with("linux-headers-") && name.ends_with("-common"))
    };
    for part in apt.depends(&package)?.iter().filter(wanted).chain([&package]) {
        apt.unpack(part, &folder)?;
    }
    place(&folder, &tree)?;
    let tools = programs(&folder.join("usr/lib"))?;
    let lacking: Vec<&PathBuf> = tools.iter().filter(|tool| lacks_library(tool)).collect();
    if !lacking.is_empty() {
        apt.unpack("libc6", &folder.join("libc"))?;
        let loader = loader(&folder.join("libc"))?;
        lacking.into_iter().try_for_each(|tool| run_by(&loader, tool))?;
    }
    fs::write(folder.join(COMPLETE), &kernel.release)?;
    say(format_args!("vm: headers of Linux {} in {}", kernel.release, tree.display()));
    Ok(tree)
}

/// Headers name the place where they are installed: makes that this one.
fn place(folder: &Path, tree: &Path) -> Result<()> {
    let makefile = tree.join("Makefile");
    let text = fs::read_to_string(&makefile).with_context(|| format!("cannot read {}", makefile.display()))?;
    let here = folder.join("usr/src");
    fs::write(&makefile, text.replace("/usr/src/", &format!("{}/", here.display())))?;
    // With it the build would make types for the module, by a program that need not be here.
    fs::remove_file(tree.join("vmlinux")).ok();
    ensure!(tree.join("scripts").exists(), "the headers in {} have no scripts", tree.display());
    Ok(())
}

/// Every compiled program below a folder.
fn programs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(programs(&entry.path())?);
        } else if entry.file_type()?.is_file() && fs::read(entry.path())?.starts_with(b"\x7fELF") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Whether a program was linked with a later C library than this machine's.
fn lacks_library(program: &Path) -> bool {
    shell::output(shell::command("ldd").arg(program)).is_ok_and(|said| said.contains("not found"))
}

/// The loader of an unpacked C library.
fn loader(folder: &Path) -> Result<PathBuf> {
    let places = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
    let mut loaders = places.iter().map(|place| folder.join(place).join("ld-linux-x86-64.so.2"));
    loaders.find(|loader| loader.is_file()).context("there is no loader in package libc6")
}

/// Puts a script in the place of a program that runs it by that loader, with the library beside it.
fn run_by(loader: &Path, program: &Path) -> Result<()> {
    let mut real = program.as_os_str().to_owned();
    real.push(".elf");
    let real = PathBuf::from(real);
    fs::rename(program, &real).with_context(|| format!("cannot move {}", program.display()))?;
    let library = loader.parent().unwrap_or(loader).display();
    let script =
        format!("#!/bin/sh\nexec '{}' --library-path '{library}' '{}' \"$@\"\n", loader.display(), real.display());
    fs::write(program, script).with_context(|| format!("cannot write {}", program.display()))?;
    Ok(fs::set_permissions(program, fs::Permissions::from_mode(0o755))?)
}
