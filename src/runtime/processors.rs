//! How much parallelism this process may use.

use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};

/// How many processors are worth having: the CPUs this process may run on, and no more than the
/// CPU quota of its control groups, walking all ancestors (version 2 and version 1). At least 1.
///
/// # Errors
/// When the system does not tell the affinity of the process.
pub fn available_parallelism() -> io::Result<NonZero<usize>> {
    let cpus = crate::sys::cpu::affinity()?;
    let limited = quota().map_or(cpus.get(), |quota| quota.min(cpus.get()));
    Ok(NonZero::new(limited).unwrap_or(NonZero::<usize>::MIN))
}

/// The smallest quota of the control groups above this process, in whole CPUs, rounded up.
fn quota() -> Option<usize> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    groups
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            if controllers.is_empty() {
                let root = mount_point(&mounts, |kind, _| kind == "cgroup2")?;
                smallest(&root, path, quota_v2)
            } else if controllers.split(',').any(|name| name == "cpu") {
                let root = mount_point(&mounts, |kind, options| {
                    kind == "cgroup" && options.split(',').any(|name| name == "cpu")
                })?;
                smallest(&root, path, quota_v1)
            } else {
                None
            }
        })
        .min()
}

/// Where a control-group hierarchy is mounted.
fn mount_point(mounts: &str, is_wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let (kind, _, options) = (right.next()?, right.next()?, right.next()?);
        is_wanted(kind, options).then(|| left.split(' ').nth(4).map(PathBuf::from))?
    })
}

/// The smallest quota from the group at `path` up to the root of its hierarchy.
fn smallest(root: &Path, path: &str, quota: impl Fn(&Path) -> Option<(u64, u64)>) -> Option<usize> {
    let relative = Path::new(path.trim_start_matches('/'));
    relative
        .ancestors()
        .filter_map(|ancestor| quota(&root.join(ancestor)))
        .filter(|(_, period)| *period != 0)
        .map(|(quota, period)| quota.div_ceil(period).max(1) as usize)
        .min()
}

/// `cpu.max`: "QUOTA PERIOD", or "max PERIOD".
fn quota_v2(group: &Path) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(group.join("cpu.max")).ok()?;
    let mut numbers = text.split_whitespace();
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// `cpu.cfs_quota_us` (-1: none) and `cpu.cfs_period_us`.
fn quota_v1(group: &Path) -> Option<(u64, u64)> {
    let read = |name: &str| std::fs::read_to_string(group.join(name)).ok();
    let quota = read("cpu.cfs_quota_us")?.trim().parse().ok()?;
    Some((quota, read("cpu.cfs_period_us")?.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that is removed when dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            // A process that had this number before may have left its own behind.
            let paths = (0..).map(|attempt: u32| {
                let name = format!("gthread-{name}-{}-{attempt}", std::process::id());
                std::env::temp_dir().join(name)
            });
            let mut paths = paths.take(1000);
            Self(paths.find(|path| std::fs::create_dir(path).is_ok()).unwrap())
        }
        fn write(&self, group: &str, file: &str, text: &str) {
            let group = self.0.join(group);
            std::fs::create_dir_all(&group).unwrap();
            std::fs::write(group.join(file), text).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_tightest_ancestor_decides() {
        let scratch = Scratch::new("v2");
        scratch.write("a", "cpu.max", "150000 100000\n");
        scratch.write("a/b", "cpu.max", "max 100000\n");
        scratch.write("a/b/c", "cpu.max", "800000 100000\n");
        assert_eq!(smallest(&scratch.0, "/a/b/c", quota_v2), Some(2));
        assert_eq!(smallest(&scratch.0, "/a/b", quota_v2), Some(2));
        assert_eq!(smallest(&scratch.0, "/", quota_v2), None);
    }

    #[test]
    fn version_1_without_a_quota_is_no_limit() {
        let scratch = Scratch::new("v1");
        scratch.write("a", "cpu.cfs_quota_us", "-1\n");
        scratch.write("a", "cpu.cfs_period_us", "100000\n");
        assert_eq!(smallest(&scratch.0, "/a", quota_v1), None);
        scratch.write("a/b", "cpu.cfs_quota_us", "50000\n");
        scratch.write("a/b", "cpu.cfs_period_us", "100000\n");
        assert_eq!(smallest(&scratch.0, "/a/b", quota_v1), Some(1));
    }

    #[test]
    fn mounts_are_found_by_type_and_controller() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
                      31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
        let v2 = mount_point(mounts, |kind, _| kind == "cgroup2");
        assert_eq!(v2, Some(PathBuf::from("/sys/fs/cgroup")));
        let v1 = mount_point(mounts, |kind, options| kind == "cgroup" && options.contains("cpu"));
        assert_eq!(v1, Some(PathBuf::from("/sys/fs/cgroup/cpu")));
    }

    #[test]
    fn there_is_at_least_one() {
        assert!(available_parallelism().unwrap().get() >= 1);
    }
}
