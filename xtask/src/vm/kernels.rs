//! Kernels to boot: Debian's, unpacked below the tools' folder.
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
/// How names of images start.
const IMAGE: &str = "linux-image-";
/// Kernels before their signature; some releases have no others.
const UNSIGNED: &str = "-unsigned";
/// Written last: names the release, and says that the folder is complete.
pub(super) const COMPLETE: &str = "release";

/// What a kernel was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Machines in a cloud: small, and soon there.
    Cloud,
    /// Any machine: has the drivers of disks that are made up for tests.
    Full,
}

impl Flavour {
    /// How names of its images end.
    const fn ending(self) -> &'static str {
        match self {
            Self::Cloud => "-cloud-amd64",
            Self::Full => "-amd64",
        }
    }

    /// How its folder's name ends.
    const fn mark(self) -> &'static str {
        match self {
            Self::Cloud => "",
            Self::Full => "-full",
        }
    }

    /// Whether an image is of this flavour, by the rest of its name after the release.
    fn has(self, name: &str) -> bool {
        let name = name.trim_end_matches(UNSIGNED);
        let others = ["-cloud-amd64", "-rt-amd64"];
        name.ends_with(self.ending()) && !(self == Self::Full && others.iter().any(|other| name.ends_with(other)))
    }
}

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
pub fn fetch(series: &str, flavour: Flavour) -> Result<Kernel> {
    let folder = folder(&format!("{series}{}", flavour.mark()))?;
    if let Some(kernel) = unpacked(series, &folder) {
        return Ok(kernel);
    }
    let apt = Apt::open(&apt_folder()?)?;
    let names = apt.names(IMAGE)?;
    let package = newest(&names, series, flavour).with_context(|| {
        format!(
            "there is no kernel of series {series} in this machine's Debian mirror; it has {}",
            all_series(&names, flavour)
        )
    })?;
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let release = package.strip_prefix(IMAGE).unwrap_or(package).trim_end_matches(UNSIGNED);
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

/// Where everything of a series is; that of a full kernel has its flavour behind it.
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
fn newest<'a>(names: &'a [String], series: &str, flavour: Flavour) -> Option<&'a str> {
    let of_series = |name: &&str| {
        let rest = name.strip_prefix(IMAGE).and_then(|rest| rest.strip_prefix(series));
        rest.is_some_and(|rest| rest.starts_with('.')) && flavour.has(name)
    };
    let newest = |is_signed: bool| {
        let names = names.iter().map(String::as_str).filter(of_series);
        names.filter(|name| name.ends_with(UNSIGNED) != is_signed).max_by_key(|name| version(name))
    };
    newest(true).or_else(|| newest(false))
}

/// The numbers of a name, in order: all that tells two releases of a series apart.
fn version(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn all_series(names: &[String], flavour: Flavour) -> String {
    let images = names.iter().filter(|name| flavour.has(name));
    let mut found: Vec<Vec<u64>> = images.filter_map(|name| Some(version(name).get(..2)?.to_vec())).collect();
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
        assert_eq!(newest(&names, "5.10", Flavour::Cloud), Some("linux-image-5.10.0-46-cloud-amd64"));
        assert_eq!(newest(&names, "6.1", Flavour::Cloud), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(newest(&names, "6.12", Flavour::Cloud), Some("linux-image-6.12.117+deb13-cloud-amd64"));
        assert_eq!(newest(&names, "7.4", Flavour::Cloud), Some("linux-image-7.4.1+deb14-cloud-amd64-unsigned"));
        assert_eq!(newest(&names, "5.1", Flavour::Cloud), None);
        assert_eq!(newest(&names, "5.10", Flavour::Full), Some("linux-image-5.10.0-46-amd64"));
        assert_eq!(newest(&names, "6.1", Flavour::Full), None);
        assert_eq!(all_series(&names, Flavour::Full), "5.10");
        assert_eq!(all_series(&names, Flavour::Cloud), "5.10, 6.1, 6.12, 7.4");
        assert_eq!(all_series(&[], Flavour::Cloud), "none at all");
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
