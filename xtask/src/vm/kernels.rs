//! Kernels to boot: Debian's for cloud machines, unpacked below the tools' folder.
//!
//! A kernel is asked for by series (`6.12`); which release of it is whatever the mirror has. Once unpacked it is kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::debian::Apt;
use crate::ebpf::toolchain;

/// Series of the whole matrix: the oldest supported, those of Debian's releases, the newest to be had.
pub const SERIES: [&str; 5] = ["5.10", "6.1", "6.12", "6.18", "7.3"];
/// How names of images start and end.
const IMAGE: (&str, &str) = ("linux-image-", "-cloud-amd64");
/// Kernels before their signature; some releases have no others.
const UNSIGNED: &str = "-unsigned";
/// Written last: names the release, and says that the folder is complete.
pub(super) const COMPLETE: &str = "release";

/// A kernel, unpacked.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// As it was asked for: `6.12`.
    pub series: String,
    /// As the kernel names itself: `6.12.117+deb13-cloud-amd64`.
    pub release: String,
    /// What a machine boots.
    pub image: PathBuf,
    /// Its modules: `kernel/…/NAME.ko`, perhaps compressed.
    pub modules: PathBuf,
}

/// The kernel of this series, fetched if it is not here.
///
/// # Errors
/// When it cannot be had.
pub fn fetch(series: &str) -> Result<Kernel> {
    let folder = folder(series)?;
    if let Some(kernel) = unpacked(series, &folder) {
        return Ok(kernel);
    }
    let apt = Apt::open(&apt_folder()?)?;
    let names = apt.names(IMAGE.0)?;
    let package = newest(&names, series).with_context(|| {
        format!("there is no kernel of series {series} in this machine's Debian mirror; it has {}", all_series(&names))
    })?;
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let release = package.strip_prefix(IMAGE.0).unwrap_or(package).trim_end_matches(UNSIGNED);
    // From 7.0 on the image is a package without files, and its parts are others of the same release.
    let parts = apt.depends(package)?;
    let own = |name: &&String| name.starts_with("linux-") && name.ends_with(release);
    for package in std::iter::once(package).chain(parts.iter().filter(own).map(String::as_str)) {
        apt.unpack(package, &folder)?;
    }
    fs::write(folder.join(COMPLETE), release)?;
    unpacked(series, &folder).with_context(|| format!("there is no image in package {package}"))
}

impl Kernel {
    /// Whether it starts all its CPUs at once, from 6.5 on. Earlier ones wait for each in a loop that never pauses, and hang
    /// where CPUs take turns.
    pub fn starts_cpus_at_once(&self) -> bool {
        version(&self.series) >= vec![6, 5]
    }
}

/// Where the apt of its own is.
pub(super) fn apt_folder() -> Result<PathBuf> {
    Ok(toolchain::tools_root()?.join("vm/apt"))
}

/// Where everything of a series is.
pub(super) fn folder(series: &str) -> Result<PathBuf> {
    Ok(toolchain::tools_root()?.join("vm/kernels").join(series))
}

/// The kernel in this folder, if it is all there.
fn unpacked(series: &str, folder: &Path) -> Option<Kernel> {
    let release = fs::read_to_string(folder.join(COMPLETE)).ok()?;
    let libraries = ["lib/modules", "usr/lib/modules"].map(|place| folder.join(place).join(&release));
    let modules = libraries.into_iter().find(|folder| folder.join("kernel").is_dir())?;
    let images = [folder.join(format!("boot/vmlinuz-{release}")), modules.join("vmlinuz")];
    let image = images.into_iter().find(|image| image.is_file())?;
    Some(Kernel { series: series.to_owned(), release, image, modules })
}

/// The newest release of a series; a signed one where there is any.
fn newest<'a>(names: &'a [String], series: &str) -> Option<&'a str> {
    let of_series = |name: &&str| {
        let rest = name.strip_prefix(IMAGE.0).and_then(|rest| rest.strip_prefix(series));
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let ending = |end: &str| {
        let names = names.iter().map(String::as_str).filter(of_series).filter(|name| name.ends_with(end));
        names.max_by_key(|name| version(name))
    };
    ending(IMAGE.1).or_else(|| ending(&format!("{}{UNSIGNED}", IMAGE.1)))
}

/// The numbers of a name, in order: all that tells two releases of a series apart.
fn version(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn all_series(names: &[String]) -> String {
    let cloud = names.iter().filter(|name| name.trim_end_matches(UNSIGNED).ends_with(IMAGE.1));
    let mut found: Vec<Vec<u64>> = cloud.filter_map(|name| Some(version(name).get(..2)?.to_vec())).collect();
    found.sort();
    found.dedup();
    let found: Vec<String> =
        found.iter().map(|numbers| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".")).collect();
    if found.is_empty() { "none at all".to_owned() } else { found.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;

    fn names() -> Vec<String> {
        let names = [
            "linux-image-5.10.0-9-cloud-amd64",
            "linux-image-5.10.0-46-cloud-amd64",
            "linux-image-5.10.0-46-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.12.90+deb12-cloud-amd64",
            "linux-image-6.12.117+deb13-cloud-amd64",
            "linux-image-6.12.118+deb13-cloud-amd64-unsigned",
            "linux-image-7.4.1+deb14-cloud-amd64-unsigned",
            "linux-image-cloud-amd64",
        ];
        names.map(str::to_owned).to_vec()
    }

    #[test]
    fn the_newest_of_a_series_is_taken() {
        let names = names();
        assert_eq!(newest(&names, "5.10"), Some("linux-image-5.10.0-46-cloud-amd64"));
        assert_eq!(newest(&names, "6.1"), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(newest(&names, "6.12"), Some("linux-image-6.12.117+deb13-cloud-amd64"));
        assert_eq!(newest(&names, "7.4"), Some("linux-image-7.4.1+deb14-cloud-amd64-unsigned"));
        assert_eq!(newest(&names, "5.1"), None);
        assert_eq!(all_series(&names), "5.10, 6.1, 6.12, 7.4");
        assert_eq!(all_series(&[]), "none at all");
    }

    #[test]
    fn kernels_that_wait_for_each_cpu_are_known() {
        let at_once = |series: &str| {
            let kernel = Kernel {
                series: series.to_owned(),
                release: String::new(),
                image: PathBuf::new(),
                modules: PathBuf::new(),
            };
            kernel.starts_cpus_at_once()
        };
        assert_eq!(["5.10", "6.1", "6.12", "7.3"].map(at_once), [false, false, true, true]);
    }

    #[test]
    fn a_folder_without_its_last_file_is_not_complete() {
        let folder = shell::root().join("target/xtask-tests/kernels");
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(folder.join("usr/lib/modules/7.3.4-x/kernel")).unwrap();
        fs::write(folder.join("usr/lib/modules/7.3.4-x/vmlinuz"), "").unwrap();
        assert!(unpacked("7.3", &folder).is_none());
        fs::write(folder.join(COMPLETE), "7.3.4-x").unwrap();
        let kernel = unpacked("7.3", &folder).unwrap();
        assert!(kernel.image.ends_with("7.3.4-x/vmlinuz") && kernel.modules.ends_with("modules/7.3.4-x"));
    }
}
